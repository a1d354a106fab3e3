"""What must happen although nobody asks: lost leases and wake-ups, vanished entries, old records.

Runs every few seconds on whichever worker gets the turn; each step is safe to run twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app.jobs.batches import Batches
from app.jobs.engine import JobEngine
from app.jobs.keys import key
from app.jobs.messages import Lane
from app.jobs.records import Failure, Job, LayerBuild
from app.jobs.scripts import broker_errors
from app.jobs.state import FINISHED, IllegalTransition
from app.jobs.store import LeaseLost, Placing, RecordStore

log = structlog.get_logger(__name__)

#: Records looked at per round and kind.
_ROUND = 500

LOST = Failure(
    code="worker-lost",
    message="the worker stopped without a word",
    advice="look for an out-of-memory kill or a node failure",
    retryable=True,
)


@dataclass(slots=True)
class Reaped:
    """What one round found."""

    leases: int = 0
    orphans: int = 0
    purged: int = 0


class Reaper:
    """The rounds."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine

    def round(self) -> Reaped | None:
        """Do one round, or nothing when another worker did one just now."""
        engine = self._engine
        turn = max(1, int(engine.timing.reap * 800))
        with broker_errors("taking the reaper's turn"):
            if not engine.redis.set(key("reaper"), 1, nx=True, px=turn):
                return None
        reaped = Reaped()
        reaped.leases = self._leases()
        reaped.orphans = self._orphans(engine.ledger.store) + self._orphans(engine.builds.store)
        Batches(engine.redis, engine.now).feed(engine)
        if engine.events.due():
            engine.queue.drain_intake()
        engine.wake_all(recount=True)
        reaped.purged = self._purge(engine.ledger.store) + self._purge(engine.builds.store)
        if reaped.leases or reaped.orphans:
            log.info("reaper.round", leases=reaped.leases, orphans=reaped.orphans)
        return reaped

    def _leases(self) -> int:
        engine = self._engine
        expired = engine.schedule.expired()
        for lease in expired:
            try:
                if lease.lane == Lane.IMAGE:
                    job = engine.ledger.get(lease.record_id)
                    if job is not None and not job.finished:
                        engine.ledger.lost(lease)
                        continue
                else:
                    build = engine.builds.get(lease.record_id)
                    if build is not None and not build.finished:
                        engine.builds.fail(lease, LOST, lost=True)
                        continue
                engine.schedule.release(lease)
            except LeaseLost:
                continue
            except (KeyError, IllegalTransition):
                engine.schedule.release(lease)
        return len(expired)

    def _orphans(self, store: RecordStore[Job] | RecordStore[LayerBuild]) -> int:
        engine = self._engine
        ids = store.active(engine.now() - engine.timing.orphan, _ROUND)
        found = 0
        for record_id, known in store.scheduled(ids):
            if known:
                store.touch(record_id, engine.now())
            elif _requeue(store, record_id, engine.now()):
                found += 1
        return found

    def _purge(self, store: RecordStore[Job] | RecordStore[LayerBuild]) -> int:
        before = self._engine.now() - self._engine.timing.retention
        return sum(store.purge(state, before, _ROUND) for state in FINISHED)


def _requeue(store: RecordStore[Job] | RecordStore[LayerBuild], record_id: str, now: float) -> bool:
    current = store.get(record_id)
    if current is None or current.record.finished:
        store.forget_active(record_id)
        return False
    record = current.record.model_copy(update={"updated": now, "phase": ""})
    return store.write(record, current.revision, Placing("ready", now))  # type: ignore[arg-type]
