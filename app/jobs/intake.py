"""Where push events enter: durable in Redis before the webhook is answered, resolved later.

One script call per delivery drops replays, appends the events to the pending list and says whether
a worker must be woken; a burst of any size sends one ``DrainIntake`` task. The pending list is the
truth: should the task be lost, the reaper's next round drains it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from pydantic import BaseModel, ConfigDict
from redis import Redis

from app.catalog.vocabulary import Priority, Source
from app.errors import BrokerUnavailable
from app.jobs.push import PushEvent
from app.jobs.scripts import Scripts
from app.observability import tracing

#: How long a delivery id is remembered, in seconds: EventBridge and Event Grid, the most patient
#: senders, repeat a delivery for 24 hours.
REPLAY_SECONDS = 24 * 3600
#: A signal older than this is taken for lost and sent again, in seconds.
SIGNAL_SECONDS = 5

log = structlog.get_logger(__name__)


class IntakeOptions(BaseModel):
    """What a person or a sweep may ask for beyond a plain push."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source = "push"
    priority: Priority | None = None
    #: Overrides the rule's; empty keeps it.
    profiles: tuple[str, ...] = ()
    #: ``os/arch[/variant]`` globs; empty keeps the rule's.
    platforms: tuple[str, ...] = ()
    force: bool = False
    dry_run: bool = False
    batch: str | None = None


class IntakeRecord(BaseModel):
    """An accepted event as it waits in Redis; an older worker skips fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int = 0
    registry: str
    dialect: str
    #: Seconds since the epoch.
    received: float
    options: IntakeOptions = IntakeOptions()
    #: W3C trace context of the delivery; the jobs it leads to continue it.
    traceparent: str | None = None
    event: PushEvent


@dataclass(frozen=True, slots=True)
class IntakeReceipt:
    """What became of one delivery; ``event_ids`` are those of the accepted events, in order."""

    accepted: int
    duplicates: int
    event_ids: tuple[int, ...] = ()


class Intake(Protocol):
    """Takes responsibility for events."""

    def accept(
        self,
        registry_id: str,
        dialect: str,
        events: Sequence[PushEvent],
        options: IntakeOptions = IntakeOptions(),  # noqa: B008 - frozen
    ) -> IntakeReceipt:
        """Store ``events`` durably, then return. Raises ``BrokerUnavailable``: nothing is stored.

        An event whose ``delivery_id`` was seen in the last 24 h is a duplicate and is dropped.
        """
        ...


class RedisIntake:
    """The ``Intake`` over Redis; ``signal`` wakes a worker (``CeleryJobQueue.drain_intake``)."""

    def __init__(
        self,
        redis: Redis,
        signal: Callable[[], None],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._scripts = Scripts(redis)
        self._signal = signal
        self._now = now

    def accept(
        self,
        registry_id: str,
        dialect: str,
        events: Sequence[PushEvent],
        options: IntakeOptions = IntakeOptions(),  # noqa: B008 - frozen
    ) -> IntakeReceipt:
        """See ``Intake.accept``."""
        if not events:
            return IntakeReceipt(0, 0)
        received, traceparent = self._now(), tracing.current_traceparent()
        arguments: list[str] = []
        for event in events:
            record = IntakeRecord(
                registry=registry_id,
                dialect=dialect,
                received=received,
                options=options,
                traceparent=traceparent,
                event=event,
            )
            seen = f"{registry_id}:{dialect}:{event.delivery_id}" if event.delivery_id else ""
            arguments += [seen, record.model_dump_json(exclude_defaults=True)]
        ids, duplicates, wake = self._scripts.run(
            "intake", REPLAY_SECONDS, SIGNAL_SECONDS, *arguments
        )
        if wake:
            self._wake()
        return IntakeReceipt(len(ids), int(duplicates), tuple(int(i) for i in ids))

    def _wake(self) -> None:
        # The events are safe already: a broker that cannot be reached only delays them.
        try:
            self._signal()
        except BrokerUnavailable as error:
            log.warning("intake.signal_failed", error=str(error))
