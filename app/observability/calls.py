"""One registry request as metrics and a span; used by the registry client alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.observability import metrics, tracing

#: Shorter waits are the cost of asking, not of a limit; in seconds.
_SHORTEST_WAIT = 0.002


@contextmanager
def registry_call(host: str, method: str) -> Iterator[Callable[[int], None]]:
    """Time a request until its response headers; call what is yielded with the status.

    ``host`` is the configured registry's, also for what it redirects to: names from outside would
    make the metric grow without bound.
    """
    status = "error"

    def answered(code: int) -> None:
        nonlocal status
        status = str(code)

    started = time.monotonic()
    try:
        with tracing.span(f"registry {method}", host=host):
            yield answered
    finally:
        metrics.REGISTRY_SECONDS.labels(host=host, method=method).observe(
            time.monotonic() - started
        )
        metrics.REGISTRY_REQUESTS.labels(host=host, method=method, status=status).inc()


@contextmanager
def waiting(host: str) -> Iterator[None]:
    """Count the time spent inside as waiting for the limit that we keep."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - started
        if seconds >= _SHORTEST_WAIT:
            metrics.REGISTRY_WAIT_SECONDS.labels(host=host, reason="limit").inc(seconds)
