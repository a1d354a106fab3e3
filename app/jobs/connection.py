"""Connections to the ledger's Redis, with time limits everywhere.

``redis://``, ``rediss://`` and ``unix://`` name one server; ``sentinel://host:port,host:port/NAME/DB``
asks Sentinels for the current master of NAME.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from app.errors import ConfigurationError

#: Seconds. A webhook must be answered within 3 s (Harbor), so Redis gets less than 2 in all.
CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 2.0


def connect(url: str, *, retries: int = 1) -> Redis:
    """Return a client for ``url``; connects on first use. Raises ``ConfigurationError``."""
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": READ_TIMEOUT,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "decode_responses": True,
        "retry": Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
    }
    if url.startswith("sentinel://"):
        return _sentinel(url, options)
    try:
        return Redis.from_url(url, **options)
    except ValueError as error:
        raise ConfigurationError(f"Redis URL is malformed: {error}") from None


def _sentinel(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    name, _, database = parts.path.strip("/").partition("/")
    hosts = parts.netloc.rpartition("@")[2].split(",")
    try:
        addresses = [(host.rpartition(":")[0], int(host.rpartition(":")[2])) for host in hosts]
        options["db"] = int(database or 0)
    except ValueError:
        raise ConfigurationError(
            "Sentinel URL is malformed", advice="write sentinel://host:26379,host:26379/NAME/DB"
        ) from None
    if "@" in parts.netloc:
        options["password"] = unquote(parts.netloc.rpartition("@")[0].rpartition(":")[2])
    sentinel = Sentinel(addresses, socket_timeout=CONNECT_TIMEOUT)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(name, **options)  # type: ignore[no-untyped-call]
    return client
