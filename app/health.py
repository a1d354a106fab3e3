"""Liveness and readiness: ``/healthz``, the process answers; ``/readyz``, it is of use.

Ready means: events can be stored (Redis answers) and the configuration file on disk is the one in
force. A rejected file is told but does not make the process unready: the old one still serves.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from app.errors import BrokerUnavailable


def health_router(ping: Callable[[], None], problem: Callable[[], str | None]) -> APIRouter:
    """``ping`` raises ``BrokerUnavailable``; ``problem`` tells why a new file is not in force."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    def readyz() -> Response:
        """Events can be taken."""
        try:
            ping()
        except BrokerUnavailable as error:
            return JSONResponse(
                {"status": "unavailable", "redis": error.message},
                status_code=503,
                headers={"Retry-After": "5"},
            )
        rejected = problem()
        return JSONResponse(
            {"status": "ok", "redis": "ok", "configuration": "rejected" if rejected else "ok"}
        )

    return router
