"""Dependencies of every admin route: who calls, may they, and not too often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.admin.authorization import Authenticator, Principal
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.config.model import AdminConfig
from app.jobs.keys import key
from app.jobs.scripts import broker_errors
from app.problems import Problem

_bearer = HTTPBearer(auto_error=False, description="API token or OIDC JWT")


class Access:
    """Authenticates by the configuration in force and counts calls per minute in Redis."""

    def __init__(self, services: AdminServices) -> None:
        self._services = services
        self._made: tuple[AdminConfig, Authenticator] | None = None

    def allow(self, role: Role) -> Callable[..., Principal]:
        """Return a dependency that yields the caller when it has at least ``role``."""

        def check(
            request: Request,
            _scheme: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        ) -> Principal:
            principal = self.authenticate(request.headers.get("Authorization"))
            if principal.role < role:
                raise Problem(
                    403, "role-insufficient", f"{principal.name} has role {principal.role.name}, "
                    f"this needs {role.name}",
                )  # fmt: skip
            return principal

        return check

    def authenticate(self, authorization: str | None) -> Principal:
        """Return the caller; raises ``Problem`` 401, 403 or 429."""
        config = self._services.config().admin
        made = self._made
        if made is None or made[0] != config:
            made = self._made = (config, Authenticator(config))
        principal = made[1].authenticate(authorization)
        self.count(principal)
        return principal

    def count(self, principal: Principal) -> None:
        """Count a call of an authenticated caller; raises ``Problem`` 429."""
        allowed = self._services.config().admin.requests_per_minute
        minute = int(time.time() // 60)
        name = key("admin", "calls", principal.name, minute)
        with broker_errors("counting admin calls"):
            pipeline = self._services.redis.pipeline(transaction=True)
            pipeline.incr(name)
            pipeline.expire(name, 120)
            used = cast(int, pipeline.execute()[0])
        if used > allowed:
            wait = 60 - int(time.time() % 60)
            raise Problem(
                429, "rate-limited", f"{principal.name} made more than {allowed} calls this minute",
                headers={"Retry-After": str(wait)},
            )  # fmt: skip
