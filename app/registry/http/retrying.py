"""When to try again: only what is safe, a bounded number of times, with jitter or as asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from app.errors import RateLimited, VerilayerError

#: A registry that asks for more patience than this, in seconds, gets its answer as an error.
LONGEST_RETRY_AFTER = 60.0

T = TypeVar("T")


def asked_wait(error: BaseException | None) -> float | None:
    """Return the seconds a registry asked us to wait, when it did."""
    if isinstance(error, RateLimited):
        return error.retry_after
    wait = error.details.get("wait") if isinstance(error, VerilayerError) else None
    return wait if isinstance(wait, float) else None


def _retryable(error: BaseException) -> bool:
    if not isinstance(error, VerilayerError) or not error.retryable:
        return False
    return (asked_wait(error) or 0.0) <= LONGEST_RETRY_AFTER


class RetryPolicy:
    """``attempts`` tries of a safe operation; delays grow from ``base`` to ``longest`` seconds."""

    def __init__(
        self,
        attempts: int,
        *,
        base: float = 0.25,
        longest: float = 20.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.attempts = attempts
        self._jitter = wait_random_exponential(multiplier=base, max=longest)
        self._sleep = sleep

    def call(self, operation: Callable[[], T]) -> T:
        """Run ``operation`` until it succeeds, fails for good, or attempts are used up."""
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            retry=retry_if_exception(_retryable),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(operation)

    def pause(self, failures: int, error: VerilayerError) -> bool:
        """Sleep before try ``failures + 1``; False when there must be none."""
        if failures >= self.attempts or not _retryable(error):
            return False
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = failures
        self._sleep(max(asked_wait(error) or 0.0, self._jitter(state)))
        return True

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(asked_wait(error) or 0.0, self._jitter(state))
