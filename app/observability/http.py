"""The web process's part: request ids and traces around each request, and ``GET /metrics``."""

from __future__ import annotations

import re
import secrets

from fastapi import APIRouter, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.observability import exposition, logging, tracing

REQUEST_ID = "X-Request-Id"
_SAFE_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


class RequestContext:
    """ASGI middleware: every log line of a request has its ``request_id`` and ``trace_id``.

    A caller's ``X-Request-Id`` is kept when it is short and plain, and is always answered.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID, "")
        request_id = given if _SAFE_ID.match(given) else secrets.token_hex(8)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with (
            logging.bound(request_id=request_id),
            tracing.span(f"http {scope['method']}", traceparent=headers.get(tracing.HEADER)),
        ):
            await self._app(scope, receive, answer)


def metrics_router(source: exposition.ReadingSource | None = None) -> APIRouter:
    """Route ``GET /metrics``; ``source`` reads the ledger at each scrape."""
    router = APIRouter()
    registry = exposition.exposition(source)

    @router.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(exposition.render(registry), media_type=exposition.CONTENT_TYPE)

    return router
