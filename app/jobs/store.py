"""Reads and writes records by compare-and-swap; one script changes record, indexes and schedule.

Shared by the ledger (jobs) and by layer builds. Nothing here decides: the next revision comes from
``records`` and ``state``, where it goes in the schedule is the caller's ``Placing``.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, cast

from redis import Redis

from app.errors import VerilayerError
from app.jobs.keys import key
from app.jobs.records import Job, LayerBuild
from app.jobs.scripts import Scripts, broker_errors
from app.jobs.state import JobState

R = TypeVar("R", Job, LayerBuild)

#: A record changed by others this often in a row is a defect, not a race.
_CONFLICTS = 50


class LeaseLost(VerilayerError):
    """Someone else holds the lease by now: whatever this worker did must not be recorded."""

    code = "lease-lost"


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a record goes in the schedule when it is written."""

    op: Literal["ready", "delay", "park", "hold", "none"]
    #: When it became ready, or will be: units of a rank run in this order.
    at: float = 0.0
    #: Builds that a parked job waits for.
    builds: tuple[str, ...] = ()
    #: Change of the attempt counter; a finished record forgets it.
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Versioned(Generic[R]):
    """A record and the revision it was read at; 0 when it does not exist yet."""

    record: R
    revision: int


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A part of a listing; ``cursor`` continues it, None at the end."""

    items: tuple[R, ...]
    cursor: str | None


class RecordStore(Generic[R]):
    """Records of one kind."""

    def __init__(self, redis: Redis, scripts: Scripts, kind: str, model: type[R]) -> None:
        self.redis = redis
        self.scripts = scripts
        self.kind = kind
        self._model: type[R] = model

    def get(self, record_id: str) -> Versioned[R] | None:
        """Read one record."""
        with broker_errors(f"reading {self.kind} {record_id}"):
            revision, doc = cast(
                list[str | None], self.redis.hmget(key(self.kind, record_id), ["r", "d"])
            )
        if revision is None or doc is None:
            return None
        return Versioned(self._model.model_validate_json(_unpacked(doc)), int(revision))

    def get_many(self, record_ids: Sequence[str]) -> list[R | None]:
        """Read many in one round trip."""
        with broker_errors(f"reading {self.kind}s"):
            pipeline = self.redis.pipeline(transaction=False)
            for record_id in record_ids:
                pipeline.hget(key(self.kind, record_id), "d")
            docs = pipeline.execute()
        return [self._model.model_validate_json(_unpacked(doc)) if doc else None for doc in docs]

    def write(self, record: R, revision: int, placing: Placing, token: str = "") -> bool:
        """Write a revision; False when it is not the next one. Raises ``LeaseLost``."""
        facts = {
            "kind": self.kind,
            "id": record.id,
            "revision": revision,
            "state": record.state,
            "finished": int(record.finished),
            "now": record.updated,
            "created": record.created,
            "unit": record.unit,
            "token": token,
            "op": placing.op,
            "at": placing.at,
            "builds": list(placing.builds),
            "strikes": placing.strikes,
            "batch": record.batch or "",
        }
        doc = record.model_dump_json(exclude_defaults=True)
        if record.finished:
            doc = _packed(doc)
        answer = int(self.scripts.run("commit", json.dumps(facts), doc))
        if answer < 0:
            raise LeaseLost(f"{self.kind} {record.id} is held by another worker")
        return bool(answer)

    def update(
        self,
        record_id: str,
        change: Callable[[R], tuple[R, Placing] | None],
        token: str = "",
    ) -> R:
        """Change a record, again when others were faster; ``change`` returns None to leave it.

        Raises ``KeyError`` for an unknown record, ``LeaseLost``, and what ``change`` raises.
        """
        for _ in range(_CONFLICTS):
            current = self.get(record_id)
            if current is None:
                raise KeyError(record_id)
            changed = change(current.record)
            if changed is None:
                return current.record
            record, placing = changed
            if self.write(record, current.revision, placing, token):
                return record
        raise RuntimeError(f"{self.kind} {record_id} keeps changing")

    def count(self, state: JobState) -> int:
        """How many records are in a state now."""
        with broker_errors("counting"):
            return int(self.redis.zcard(key(self.kind, "state", state)))

    def ids(
        self, index: str, *, newest_first: bool, cursor: str | None, limit: int
    ) -> tuple[list[str], str | None]:
        """Read a page of an index (its full key); see ``app.jobs.listing`` for cursors."""
        from app.jobs.listing import page_of

        return page_of(self.redis, index, newest_first=newest_first, cursor=cursor, limit=limit)

    def active(self, older_than: float, limit: int, offset: int = 0) -> list[str]:
        """Ids of unfinished records not touched since ``older_than``, oldest first."""
        with broker_errors("listing"):
            found = self.redis.zrangebyscore(
                key(self.kind, "active"), "-inf", older_than, start=offset, num=limit
            )
        return [str(one) for one in cast(list[Any], found)]

    def scheduled(self, ids: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Tell for each id whether the schedule knows it."""
        if ids:
            known = self.scripts.run("scheduled", self.kind, *ids)
            yield from zip(ids, map(bool, known), strict=True)

    def touch(self, record_id: str, now: float) -> None:
        """Look at an unfinished record again only after a while."""
        with broker_errors("touching"):
            self.redis.zadd(key(self.kind, "active"), {record_id: now}, xx=True)

    def forget_active(self, record_id: str) -> None:
        """Take a finished or unknown record out of the index of unfinished ones."""
        with broker_errors("forgetting"):
            self.redis.zrem(key(self.kind, "active"), record_id)

    def purge(self, state: JobState, before: float, limit: int) -> int:
        """Delete finished records of a state last changed before a time; returns how many."""
        return int(self.scripts.run("purge", self.kind, state, before, limit))

    def ask_to_stop(self, record_id: str) -> None:
        """Have the record's worker told to stop at its next heartbeat."""
        with broker_errors("cancelling"):
            self.redis.sadd(key("cancelling"), record_id)

    def forget_stop(self, record_id: str) -> None:
        """Take ``ask_to_stop`` back."""
        with broker_errors("cancelling"):
            self.redis.srem(key("cancelling"), record_id)

    def leased(self, unit: str) -> bool:
        """Whether a worker holds the unit."""
        with broker_errors("reading leases"):
            return bool(self.redis.hexists(key("tokens"), unit))


def _packed(doc: str) -> str:
    """Compress what will only be read from now on; it starts with ``z`` where JSON has a brace."""
    return "z" + base64.b64encode(zlib.compress(doc.encode(), 6)).decode()


def _unpacked(doc: str) -> str:
    return zlib.decompress(base64.b64decode(doc[1:])).decode() if doc.startswith("z") else doc
