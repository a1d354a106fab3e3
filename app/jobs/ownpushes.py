"""The digests that this service pushed of late, so that their events are told without a fetch."""

from __future__ import annotations

from collections.abc import Iterable

from redis import Redis

from app.jobs.keys import key
from app.jobs.scripts import broker_errors
from app.oci.digest import Digest

#: How long a pushed digest is remembered, in seconds; its event comes within moments.
_SECONDS = 3600


class OwnPushes:
    """Remembers by registry and digest, in Redis. Methods raise ``BrokerUnavailable``."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def remember(self, registry: str, digests: Iterable[Digest]) -> None:
        """Note digests. Do it before they are pushed: events are faster than answers."""
        with broker_errors("noting own pushes"):
            for digest in digests:
                self._redis.set(key("own", registry, digest), 1, ex=_SECONDS)

    def knows(self, registry: str, digest: Digest) -> bool:
        """Whether we pushed it within the last hour."""
        with broker_errors("checking for own pushes"):
            return bool(self._redis.exists(key("own", registry, digest)))
