"""From settings to what all processes of a service share: ledger, queue, engine.

Nothing connects before it is used. What only workers need is in ``workers.composition``.
"""

from __future__ import annotations

from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.queue import CeleryJobQueue, JobQueue
from app.jobs.timing import EngineTiming
from app.settings import Settings


def broker_url(settings: Settings) -> str:
    """Where Celery's messages go: a broker of its own, or the ledger's Redis."""
    return (settings.broker_url or settings.redis_url).get_secret_value()


def open_queue(settings: Settings) -> CeleryJobQueue:
    """Return a queue for processes that send messages and take none."""
    return CeleryJobQueue.connect(broker_url(settings))


def open_engine(settings: Settings, queue: JobQueue, *, retries: int = 1) -> JobEngine:
    """Wire the engine over the ledger's Redis; ``retries`` are those of one Redis command.

    Raises ``ConfigurationError`` for a malformed URL.
    """
    redis = connect(settings.redis_url.get_secret_value(), retries=retries)
    return JobEngine.over(redis, queue, engine_timing(settings))


def engine_timing(settings: Settings) -> EngineTiming:
    """Return the engine's clocks as the settings ask for."""
    return EngineTiming(
        lease=settings.lease_seconds,
        heartbeat=min(2.0, settings.lease_seconds / 5),
        reap=settings.reap_seconds,
        backoff=settings.retry_seconds,
        orphan=settings.lease_seconds,
        attempts=settings.max_attempts,
        retention=settings.job_retention_days * 86400.0,
    )
