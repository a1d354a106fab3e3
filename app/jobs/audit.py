"""Who changed what: an append-only stream of operator actions, bounded in length.

Signatures have a log of their own, chained by hashes (``workers.signing.audit``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from redis import Redis

from app.jobs.keys import key
from app.jobs.scripts import broker_errors

#: Entries kept, about.
KEPT = 100_000


class AuditEntry(BaseModel):
    """One change."""

    model_config = ConfigDict(frozen=True)

    #: Also the cursor that a following page continues from.
    id: str
    at: float
    actor: str
    action: str
    target: str
    details: dict[str, Any] = {}


class AuditTrail:
    """All entries, newest first."""

    def __init__(self, redis: Redis, now: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._now = now

    def record(
        self, actor: str, action: str, target: str, details: Mapping[str, object] | None = None
    ) -> None:
        """Append an entry; call it before the change, so that no change goes unseen."""
        fields: Any = {
            "at": repr(self._now()),
            "actor": actor,
            "action": action,
            "target": target,
            "details": json.dumps(dict(details or {})),
        }
        with broker_errors("writing the audit trail"):
            self._redis.xadd(key("audit"), fields, maxlen=KEPT, approximate=True)

    def page(
        self, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[AuditEntry], str | None]:
        """Return entries older than ``cursor``, and the cursor of the next page."""
        newest = f"({cursor}" if cursor else "+"
        with broker_errors("reading the audit trail"):
            rows: Any = self._redis.xrevrange(key("audit"), newest, "-", count=limit + 1)
        entries = [
            AuditEntry(
                id=entry_id,
                at=float(fields["at"]),
                actor=fields["actor"],
                action=fields["action"],
                target=fields["target"],
                details=json.loads(fields["details"]),
            )
            for entry_id, fields in rows[:limit]
        ]
        return entries, entries[-1].id if len(rows) > limit else None
