"""Who is logged in: opaque random session ids in a cookie, what they stand for in Redis.

The token itself is not kept: its sha256 is, and it must still be configured at each request, so
that taking a token out of the configuration ends its sessions too. A JWT's session ends with it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import cast

import jwt
from pydantic import BaseModel, ConfigDict
from redis import Redis

from app.admin.authorization import Principal
from app.catalog.vocabulary import Role
from app.config.model import AdminConfig
from app.jobs.keys import key
from app.jobs.scripts import broker_errors

#: Seconds until one has to log in again.
LIFETIME = 8 * 3600


class Session(BaseModel):
    """One login."""

    model_config = ConfigDict(frozen=True)

    name: str
    role: str
    #: sha256 (hex) of the API token; empty for a JWT.
    token: str = ""
    #: Every form of this session carries it.
    csrf: str


class Sessions:
    """All logins."""

    def __init__(self, redis: Redis, config: Callable[[], AdminConfig]) -> None:
        self._redis = redis
        self._config = config

    def create(self, principal: Principal, token: str) -> tuple[str, int]:
        """Log a caller in whose ``token`` was checked; returns the id and its seconds."""
        lifetime, digest = LIFETIME, ""
        if principal.name.startswith("oidc:"):
            # Its signature was checked by the caller; only the end of its life is wanted here.
            claims = jwt.decode(token, options={"verify_signature": False})
            lifetime = max(1, min(LIFETIME, int(claims["exp"] - time.time())))
        else:
            digest = hashlib.sha256(token.encode()).hexdigest()
        session = Session(
            name=principal.name,
            role=principal.role.name,
            token=digest,
            csrf=secrets.token_urlsafe(32),
        )
        session_id = secrets.token_urlsafe(32)
        with broker_errors("logging in"):
            self._redis.set(_name(session_id), session.model_dump_json(), ex=lifetime)
        return session_id, lifetime

    def find(self, session_id: str) -> tuple[Principal, Session] | None:
        """Return who is logged in, with the role that the configuration gives now."""
        if not session_id:
            return None
        with broker_errors("reading a session"):
            text = cast(str | None, self._redis.get(_name(session_id)))
        if text is None:
            return None
        session = Session.model_validate_json(text)
        config = self._config()
        if not session.token:
            return (Principal(session.name, Role[session.role]), session) if config.oidc else None
        for known in config.tokens:
            if known.sha256 == session.token and known.name == session.name:
                return Principal(known.name, Role[known.role]), session
        return None

    def end(self, session_id: str) -> None:
        """Log out."""
        with broker_errors("logging out"):
            self._redis.delete(_name(session_id))


def _name(session_id: str) -> str:
    # Hashed, so that reading Redis does not yield cookies that work.
    return key("console", "session", hashlib.sha256(session_id.encode()).hexdigest())
