"""Names of everything the engine keeps in Redis.

All keys share one hash tag, so that a Redis Cluster puts them on one shard and the scripts, which
touch several keys at once, stay atomic there too.
"""

from __future__ import annotations

PREFIX = "{verilayer}:"


def key(*parts: str | int) -> str:
    """Join ``parts`` under the prefix."""
    return PREFIX + ":".join(map(str, parts))
