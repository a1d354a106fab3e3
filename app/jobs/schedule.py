"""Who works on what next: ready queues by lane, rank and registry, leases, caps, pauses.

A unit is one record that wants a worker. ``claim`` admits the best unit of a lane: lowest rank
first (push before manual before sweep), registries in turn, oldest first; none of a paused registry
and none above the concurrency caps. Whoever claims holds a lease by an unguessable token and renews
it; a write with a token that no longer holds the lease is refused (``store.LeaseLost``).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from redis import Redis

from app.config.model import ServiceConfig
from app.jobs.keys import key
from app.jobs.messages import Lane
from app.jobs.queue import JobQueue
from app.jobs.scripts import Scripts, broker_errors
from app.jobs.timing import EngineTiming

#: Wake-ups of a lane on the broker at once; each finished unit sends the next.
MAX_TICKETS = 256

Caps = Mapping[str, tuple[int, int]]


def caps_of(config: ServiceConfig) -> Caps:
    """Concurrency caps (per registry, per repository) by registry id; ``*`` for all others."""
    caps = {
        registry.id: (registry.limits.concurrency, registry.limits.repository_concurrency)
        for registry in config.registries
    }
    return {"*": (8, 4), **caps}


class Beat(IntEnum):
    """Answer to a heartbeat."""

    LOST = 0
    KEPT = 1
    CANCEL = 2


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one record."""

    unit: str
    token: str
    #: This attempt included.
    attempts: int = 1

    @property
    def lane(self) -> str:
        """Lane of the unit."""
        return self.unit.split(" ", 1)[0]

    @property
    def record_id(self) -> str:
        """Id of the job or layer build."""
        return self.unit.rsplit(" ", 1)[1]


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What waits in one lane for one registry at one rank."""

    lane: str
    rank: int
    registry: str
    waiting: int
    #: Seconds since the oldest became ready.
    oldest_age: float


class Schedule:
    """The queue of units."""

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

    def claim(self, lane: Lane, caps: Caps) -> Lease | None:
        """Admit the next unit of a lane, or None."""
        token = uuid.uuid4().hex
        found = self._scripts.run(
            "claim", lane, self._now(), self._timing.lease, token, json.dumps(dict(caps))
        )
        return None if found is None else Lease(str(found[0]), token, int(found[1]))

    def heartbeat(self, lease: Lease, progress: Mapping[str, object] | None = None) -> Beat:
        """Renew a lease, and show how far the work is."""
        text = json.dumps(progress) if progress else ""
        expiry = self._now() + self._timing.lease
        return Beat(int(self._scripts.run("heartbeat", lease.unit, lease.token, expiry, text)))

    def release(self, lease: Lease) -> None:
        """Give up a unit whose record is gone."""
        self._scripts.run("release", lease.unit, lease.token)

    def expired(self, limit: int = 100) -> list[Lease]:
        """Leases that were not renewed in time."""
        found = self._scripts.run("expired", self._now(), limit)
        return [Lease(str(unit), str(token), int(tried)) for unit, token, tried in found]

    def wake(self, queue: JobQueue, lane: Lane, *, recount: bool = False) -> int:
        """Send the wake-ups that a lane lacks; ``recount`` asks the broker how many it still has.

        Wake-ups are lost with a worker that is killed or a broker that loses its tail.
        """
        held = queue.waiting(lane) if recount else -1
        count = int(self._scripts.run("tickets", lane, MAX_TICKETS, self._now(), held))
        if count > 0:
            queue.run_next(lane, count)
        return count

    def progress(self, record_id: str) -> dict[str, object] | None:
        """What the worker of a record said last."""
        with broker_errors("reading progress"):
            text = cast(str | None, self._redis.hget(key("progress"), record_id))
        return dict(json.loads(text)) if text else None

    def depths(self) -> list[QueueDepth]:
        """Everything that waits and is due."""
        now = self._now()
        return [
            QueueDepth(lane, int(rank), registry, int(waiting), max(0.0, now - float(oldest)))
            for lane, rank, registry, waiting, oldest in self._scripts.run("depths", *Lane)
        ]

    def pause(self, registry: str) -> bool:
        """Admit nothing of a registry; True when it was not paused. Running units go on."""
        return self._set("sadd", "paused", registry)

    def resume(self, registry: str) -> bool:
        """Admit a registry's units again; call ``wake`` for all lanes afterwards."""
        return self._set("srem", "paused", registry)

    def pause_lane(self, lane: Lane) -> bool:
        """Admit nothing of a lane."""
        return self._set("sadd", "paused-lanes", lane)

    def resume_lane(self, lane: Lane) -> bool:
        """Admit a lane's units again."""
        return self._set("srem", "paused-lanes", lane)

    def paused(self) -> tuple[frozenset[str], frozenset[str]]:
        """Registries and lanes that are paused."""
        with broker_errors("reading pauses"):
            registries: Any = self._redis.smembers(key("paused"))
            lanes: Any = self._redis.smembers(key("paused-lanes"))
        return frozenset(registries), frozenset(lanes)

    def running(self) -> dict[str, float]:
        """Units that hold a lease, and when it expires."""
        with broker_errors("reading leases"):
            rows: Any = self._redis.zrange(key("leases"), 0, -1, withscores=True)
        return {str(unit): float(expiry) for unit, expiry in rows}

    def _set(self, operation: str, name: str, member: str) -> bool:
        with broker_errors("changing pauses"):
            return bool(getattr(self._redis, operation)(key(name), member))
