"""The engine's state as metrics, read from Redis at each scrape (``observability.exposition``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from app.jobs.engine import JobEngine
from app.jobs.messages import Lane
from app.jobs.queue import INTAKE_QUEUE
from app.jobs.state import JobState
from app.observability.exposition import Reading


def readings(engine: JobEngine) -> Iterator[Reading]:
    """Yield every reading; raises ``BrokerUnavailable`` when Redis does not answer."""
    counts = engine.ledger.counts()
    for state in JobState:
        yield Reading("verilayer_jobs", counts.get(state, 0), {"state": state.value})
    yield Reading("verilayer_dead_letters", counts.get(JobState.DEAD, 0), {})
    events = engine.events.counts()
    yield Reading("verilayer_intake_pending", events.pending, {})
    yield Reading("verilayer_queue_depth", events.pending, {"queue": INTAKE_QUEUE})
    yield Reading("verilayer_queue_running", events.claimed, {"queue": INTAKE_QUEUE})
    yield from _lanes(engine)


def _lanes(engine: JobEngine) -> Iterator[Reading]:
    waiting: dict[str, int] = defaultdict(int)
    oldest: dict[str, float] = defaultdict(float)
    for depth in engine.schedule.depths():
        waiting[depth.lane] += depth.waiting
        oldest[depth.lane] = max(oldest[depth.lane], depth.oldest_age)
    running: dict[str, int] = defaultdict(int)
    for unit in engine.schedule.running():
        running[unit.split(" ", 1)[0]] += 1
    for lane in Lane:
        yield Reading("verilayer_queue_depth", waiting[lane], {"queue": lane.queue})
        yield Reading("verilayer_queue_running", running[lane], {"queue": lane.queue})
        yield Reading("verilayer_queue_oldest_age_seconds", oldest[lane], {"queue": lane.queue})
