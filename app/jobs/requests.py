"""Wishes that a worker fulfils outside the ledger: verifications and sweeps asked for by people.

A verification is a record of its own: asked for, then answered with a report. Should its wake-up
message be lost, looking at the record sends it again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict
from redis import Redis

from app.jobs.keys import key
from app.jobs.scripts import broker_errors

#: Seconds a verification's answer can be read.
KEEP = 7 * 86400
#: A verification that nobody took for this long is asked for again, in seconds.
STALE = 60.0


class VerificationRequest(BaseModel):
    """One verification, asked for or answered."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    registry: str
    repository: str
    #: Tag or digest.
    reference: str
    deep: bool = False
    state: Literal["queued", "running", "done", "failed"] = "queued"
    actor: str = ""
    created: float
    updated: float
    #: Whether everything that was checked is as it must be; None before ``done``.
    ok: bool | None = None
    #: The report of ``verilayer verify --json``.
    report: dict[str, Any] | None = None
    #: Stable code and text when the check itself could not be made.
    error: str | None = None
    detail: str | None = None


class Verifications:
    """All verifications of the last days."""

    def __init__(self, redis: Redis, now: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._now = now

    def create(
        self, registry: str, repository: str, reference: str, *, deep: bool, actor: str
    ) -> VerificationRequest:
        """Store a wish; the caller then wakes a worker."""
        now = self._now()
        wanted = VerificationRequest(
            id="v" + uuid.uuid4().hex[:20],
            registry=registry,
            repository=repository,
            reference=reference,
            deep=deep,
            actor=actor,
            created=now,
            updated=now,
        )
        self.save(wanted)
        return wanted

    def get(self, verification_id: str) -> VerificationRequest | None:
        """One verification."""
        with broker_errors("reading a verification"):
            text = cast(str | None, self._redis.get(key("verification", verification_id)))
        return VerificationRequest.model_validate_json(text) if text else None

    def latest(self, registry: str, repository: str, reference: str) -> VerificationRequest | None:
        """The last one asked for by this very tag or digest."""
        name = key("verified", registry, repository, reference)
        with broker_errors("reading a verification"):
            found = cast(str | None, self._redis.get(name))
        return self.get(found) if found else None

    def save(self, request: VerificationRequest) -> None:
        """Write a new state."""
        name = key("verified", request.registry, request.repository, request.reference)
        with broker_errors("writing a verification"):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.set(key("verification", request.id), request.model_dump_json(), ex=KEEP)
            pipeline.set(name, request.id, ex=KEEP)
            pipeline.execute()

    def change(self, request: VerificationRequest, **changes: object) -> VerificationRequest:
        """Return and store ``request`` with ``changes``."""
        changed = request.model_copy(update={"updated": self._now(), **changes})
        self.save(changed)
        return changed

    def stale(self, request: VerificationRequest) -> bool:
        """Whether nobody seems to work on it: its wake-up or its worker was lost."""
        limit = STALE if request.state == "queued" else 30 * STALE
        answered = request.state in ("done", "failed")
        return not answered and self._now() - request.updated > limit


class SweepRequests:
    """Registries that someone wants swept now rather than by the clock."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def ask(self, registry: str) -> None:
        """Make the registry's sweep due."""
        with broker_errors("asking for a sweep"):
            self._redis.sadd(key("sweep", "asked"), registry)

    def asked(self, registry: str) -> bool:
        """Whether a sweep is asked for."""
        with broker_errors("reading sweep requests"):
            return bool(self._redis.sismember(key("sweep", "asked"), registry))

    def taken(self, registry: str) -> None:
        """The sweep has started."""
        with broker_errors("reading sweep requests"):
            self._redis.srem(key("sweep", "asked"), registry)
