"""From exceptions to what the ledger records, once: who must act, and whether a retry can help."""

from __future__ import annotations

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from app.errors import RateLimited, VerilayerError
from app.jobs.records import Failure

log = structlog.get_logger(__name__)


def failure_of(error: BaseException) -> tuple[Failure, float | None]:
    """Return the failure and the seconds a registry asked us to wait, if it did."""
    if isinstance(error, VerilayerError):
        reason = error.details.get("reason")
        failure = Failure(
            code=error.code,
            message=error.message[:1000],
            advice=error.advice,
            retryable=error.retryable,
            details=(f"reason: {reason}",) if reason else (),
        )
        return failure, error.retry_after if isinstance(error, RateLimited) else None
    if isinstance(error, SoftTimeLimitExceeded):
        failure = Failure(
            code="time-limit",
            message="the task ran into its time limit",
            advice="raise VERILAYER_TASK_TIME_LIMIT for layers of this size",
            retryable=True,
        )
        return failure, None
    # A defect of ours, or a library's: tried again, then a dead letter that a person sees.
    log.error("unexpected error", exc_info=error)
    kind = type(error).__name__
    return Failure(code="internal", message=f"{kind}: {error}"[:1000], retryable=True), None
