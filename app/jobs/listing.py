"""Pages over sorted sets: a cursor is the score and member that the last page ended with.

Entries that move between two pages are seen twice or not at all, never does a page get lost.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

from redis import Redis

from app.errors import VerilayerError
from app.jobs.scripts import broker_errors

#: Entries with one score that a page steps over at most.
_TIES = 1000


class CursorInvalid(VerilayerError):
    """A cursor that no page gave out."""

    code = "cursor-invalid"


def encode_cursor(score: float, member: str) -> str:
    """Make an opaque cursor."""
    return base64.urlsafe_b64encode(f"{score!r} {member}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[float, str]:
    """Read a cursor; raises ``CursorInvalid``."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        score, _, member = text.partition(" ")
        return float(score), member
    except (ValueError, binascii.Error):
        raise CursorInvalid("the cursor is malformed", advice="start without one") from None


def page_of(
    redis: Redis, index: str, *, newest_first: bool, cursor: str | None, limit: int
) -> tuple[list[str], str | None]:
    """Return up to ``limit`` members and the cursor of the next page."""
    start: float | str = "+inf" if newest_first else "-inf"
    after: tuple[float, str] | None = None
    if cursor is not None:
        after = decode_cursor(cursor)
        start = after[0]
    with broker_errors("listing"):
        if newest_first:
            found: Any = redis.zrevrangebyscore(
                index, start, "-inf", start=0, num=limit + _TIES, withscores=True
            )
        else:
            found = redis.zrangebyscore(
                index, start, "+inf", start=0, num=limit + _TIES, withscores=True
            )
    rows = [(float(score), str(member)) for member, score in cast(list[tuple[str, float]], found)]
    if after is not None:
        rows = [row for row in rows if (row < after if newest_first else row > after)]
    page = rows[:limit]
    following = encode_cursor(*page[-1]) if len(rows) > limit and page else None
    return [member for _, member in page], following
