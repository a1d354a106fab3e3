"""How far the sweep of a registry has come, kept in Redis so that another worker can go on.

One sweep of a registry runs at a time: whoever runs it holds a lease that ends by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from redis import Redis

from app.errors import ConfigurationError
from app.jobs.keys import key
from app.jobs.scripts import broker_errors

#: Seconds after which a silent runner is taken for dead; one image takes less, its check included.
LEASE = 1800

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class SweepRunning(ConfigurationError):
    """Another process sweeps the registry at this moment."""


class Progress(BaseModel):
    """State of one sweep; times are seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    started: float
    updated: float
    finished: float | None = None
    #: The last repository and tag that are done, in sorted order.
    repository: str = ""
    tag: str = ""
    counts: dict[str, int] = {}
    #: Whether the registry's configuration or the rules changed is told by this.
    fingerprint: str = ""
    #: How many sweeps of the whole registry there were before.
    number: int = 0

    def counted(self, name: str, count: int = 1) -> Self:
        """Return it with ``count`` more of something."""
        counts = {**self.counts, name: self.counts.get(name, 0) + count}
        return self.model_copy(update={"counts": counts})


class ProgressStore:
    """Progress by registry."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def load(self, registry_id: str) -> Progress | None:
        """The last sweep's progress; None when there was none, or a newer version wrote it."""
        with broker_errors("reading a sweep's progress"):
            text = cast(str | None, self._redis.get(key("sweep", registry_id)))
        try:
            return Progress.model_validate_json(text) if text else None
        except ValidationError:
            return None

    def save(self, registry_id: str, progress: Progress) -> None:
        """Store progress and renew the lease."""
        with broker_errors("storing a sweep's progress"):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.set(key("sweep", registry_id), progress.model_dump_json())
            pipeline.expire(key("sweep", registry_id, "lease"), LEASE)
            pipeline.execute()

    def put_off(self, registry_id: str, seconds: int) -> None:
        """Let the clock leave a registry alone for a while."""
        with broker_errors("putting a sweep off"):
            self._redis.set(key("sweep", registry_id, "put-off"), 1, ex=seconds)

    def is_put_off(self, registry_id: str) -> bool:
        """Whether ``put_off`` is still in force."""
        with broker_errors("reading a sweep's progress"):
            return bool(self._redis.exists(key("sweep", registry_id, "put-off")))

    @contextmanager
    def running(self, registry_id: str) -> Iterator[None]:
        """Hold the lease; raises ``SweepRunning``."""
        name, token = key("sweep", registry_id, "lease"), secrets.token_hex(16)
        with broker_errors("starting a sweep"):
            taken = self._redis.set(name, token, nx=True, ex=LEASE)
        if not taken:
            raise SweepRunning(
                f"another sweep of registry {registry_id} is running",
                advice=f"wait for it; should it have died, its lease ends within {LEASE} s",
            )
        try:
            yield
        finally:
            with broker_errors("ending a sweep"):
                self._redis.eval(_RELEASE, 1, name, token)
