"""Accepted events on their way to an outcome: claimed by a worker, settled exactly once.

A claim that its worker does not settle in time is claimed again; an event that fails for now is
put off by giving its claim a later end. The counts therefore always add up:
accepted = settled + claimed + pending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ConfigDict
from redis import Redis

from app.errors import BrokerUnavailable
from app.jobs.intake import IntakeRecord
from app.jobs.keys import key
from app.jobs.reasons import Outcome
from app.jobs.scripts import Scripts, broker_errors
from app.jobs.timing import EngineTiming

#: How long an event's outcome can be looked up, in seconds.
KEEP = 7 * 86400


class EventOutcome(BaseModel):
    """What became of an accepted event."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    outcome: Outcome
    #: A word of ``Ignored``, ``Drop`` or ``app.oci.images.REASONS``, or an error's code.
    reason: str = ""
    message: str = ""
    registry: str = ""
    repository: str = ""
    received: float = 0.0
    settled: float = 0.0
    #: Jobs it created, requeued or joined.
    jobs: tuple[str, ...] = ()
    #: Digest -> reason of what below an index was not converted.
    skipped: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event that this worker has to settle."""

    member: str
    attempts: int
    record: IntakeRecord


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """Events by where they are; ``settled`` by outcome."""

    accepted: int
    duplicates: int
    pending: int
    claimed: int
    settled: dict[str, int]


class PendingEvents:
    """The intake's other side."""

    def __init__(
        self,
        redis: Redis,
        scripts: Scripts,
        timing: EngineTiming,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._timing = timing
        self._now = now

    def claim(self, limit: int) -> tuple[list[ClaimedEvent], int]:
        """Take up to ``limit`` events; also tells how many more are pending.

        Clears the wake-up signal first, so that events accepted from now on send a new one.
        """
        with broker_errors("draining the intake"):
            self._redis.delete(key("intake", "signal"))
        members, attempts, left = self._scripts.run(
            "events_claim", self._now(), self._timing.lease, limit
        )
        return [
            ClaimedEvent(str(member), int(tried), _parsed(str(member)))
            for member, tried in zip(members, attempts, strict=True)
        ], int(left)

    def settle(self, outcomes: Sequence[tuple[ClaimedEvent, EventOutcome]]) -> int:
        """Record outcomes; those settled by another worker meanwhile are left alone."""
        arguments: list[str] = []
        for event, outcome in outcomes:
            record = event.record
            full = outcome.model_copy(
                update={
                    "registry": record.registry,
                    "repository": record.event.repository,
                    "received": record.received,
                    "settled": self._now(),
                }
            )
            arguments += [
                event.member,
                outcome.outcome,
                full.model_dump_json(exclude_defaults=True),
            ]
        return int(self._scripts.run("events_settle", KEEP, *arguments)) if arguments else 0

    @contextmanager
    def kept(self, events: Sequence[ClaimedEvent]) -> Iterator[set[str]]:
        """Keep claims while the block runs; it takes out of the set what it is done with."""
        open_ = {event.member for event in events}
        done = threading.Event()

        def keep() -> None:
            while not done.wait(self._timing.lease / 3):
                with suppress(BrokerUnavailable):
                    self._scripts.run("events_keep", self._now(), self._timing.lease, *tuple(open_))

        keeper = threading.Thread(target=keep, name="claims", daemon=True)
        keeper.start()
        try:
            yield open_
        finally:
            done.set()
            keeper.join()

    def put_off(self, event: ClaimedEvent, seconds: float) -> None:
        """Try an event again later."""
        with broker_errors("putting an event off"):
            self._redis.zadd(
                key("intake", "claimed"), {event.member: self._now() + seconds}, xx=True
            )

    def outcome(self, event_id: int) -> EventOutcome | None:
        """What became of an event; None while it is on its way, or forgotten."""
        with broker_errors("reading an event"):
            text = cast(str | None, self._redis.get(key("event", event_id)))
        return EventOutcome.model_validate_json(text) if text else None

    def dead(self, limit: int = 100) -> list[IntakeRecord]:
        """Events given up on, oldest first."""
        with broker_errors("reading dead events"):
            members: Any = self._redis.lrange(key("intake", "dead"), 0, limit - 1)
        return [_parsed(str(member)) for member in members]

    def requeue_dead(self, event_id: int) -> bool:
        """Give a dead event to the intake again, as a new event; False when it is not there."""
        return bool(self._scripts.run("events_requeue", event_id))

    def known(self, event_id: int) -> bool:
        """Whether such an event was ever accepted; its outcome may be forgotten by now."""
        with broker_errors("reading an event"):
            last = cast(str | None, self._redis.get(key("intake", "sequence")))
        return 0 < event_id <= int(last or 0)

    def due(self) -> int:
        """Events that could be drained now: pending, or claimed by a worker that is gone."""
        with broker_errors("counting events"):
            pending: Any = self._redis.llen(key("intake", "pending"))
            expired: Any = self._redis.zcount(key("intake", "claimed"), "-inf", self._now())
        return int(pending) + int(expired)

    def counts(self) -> IntakeCounts:
        """Account for every event."""
        with broker_errors("counting events"):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hgetall(key("intake", "counts"))
            pipeline.llen(key("intake", "pending"))
            pipeline.zcard(key("intake", "claimed"))
            raw, pending, claimed = pipeline.execute()
        settled = {name: int(count) for name, count in raw.items()}
        accepted, duplicates = settled.pop("accepted", 0), settled.pop("duplicate", 0)
        return IntakeCounts(accepted, duplicates, int(pending), int(claimed), settled)


def _parsed(member: str) -> IntakeRecord:
    number, _, text = member.partition(" ")
    return IntakeRecord.model_validate_json(text).model_copy(update={"id": int(number)})
