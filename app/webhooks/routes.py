"""``POST /webhooks/{registry-id}``: receive, hand to the endpoint, answer.

202 is sent only after the events are durable. A slash at the end is the same route: registries
take a redirect for success and would lose the event. Senders that cannot set headers put their
token after the id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from app import errors
from app.catalog.dialects import DIALECTS
from app.jobs.intake import Intake
from app.jobs.reasons import Drop
from app.observability import metrics
from app.problems import render, status_of
from app.webhooks.delivery import Delivery
from app.webhooks.endpoint import Endpoint, Endpoints, Outcome
from app.webhooks.fetch import Fetch
from app.webhooks.proofs.kinds import Origin

#: What a delivery is counted as.
Answered = Literal[
    "accepted", "duplicate", "ignored", "unauthorized", "malformed", "too-large", "unavailable"
]
#: Seconds a sender may take for its body.
BODY_SECONDS = 10.0
#: Seconds after which a sender should try again when Redis is away.
RETRY_AFTER = 5

#: Event Grid asks this origin's permission before it delivers CloudEvents (CloudEvents 1.0,
#: "HTTP 1.1 Web Hooks for Event Delivery", section 4).
EVENT_GRID = "eventgrid.azure.net"

log = structlog.get_logger(__name__)


class Receiver:
    """Takes deliveries for all endpoints of the configuration in force."""

    def __init__(
        self, endpoints: Callable[[], Endpoints], intake: Intake, max_bytes: int, fetch: Fetch
    ) -> None:
        self._endpoints = endpoints
        self._intake = intake
        self._max_bytes = max_bytes
        self._fetch = fetch

    async def post(self, request: Request) -> Response:
        """Answer a delivery."""
        started = time.perf_counter()
        endpoint = self._endpoints().get(request.path_params["registry_id"])
        if endpoint is None:
            return render(request, 404, "not-found", "no webhook endpoint is configured here")
        response, label = await self._answer(request, endpoint)
        metrics.WEBHOOKS.labels(dialect=endpoint.dialect, outcome=label).inc()
        metrics.WEBHOOK_SECONDS.labels(dialect=endpoint.dialect).observe(
            time.perf_counter() - started
        )
        return response

    async def _answer(self, request: Request, endpoint: Endpoint) -> tuple[Response, Answered]:
        try:
            body = await self._body(request)
            outcome = await run_in_threadpool(
                self._take, endpoint, Delivery(_headers(request), body), _origin(request)
            )
        except errors.VerilayerError as error:
            return _refusal(request, endpoint, error)
        except (TimeoutError, ClientDisconnect):
            detail = f"the body was not received within {BODY_SECONDS:.0f} seconds"
            return render(request, 408, "body-timeout", detail), "malformed"
        if outcome.answer is not None:
            return JSONResponse(dict(outcome.answer)), "ignored"
        label: Answered = "accepted" if outcome.accepted else "ignored"
        if outcome.duplicates and not outcome.accepted:
            label = "duplicate"
        return JSONResponse(_receipt(outcome), status_code=202), label

    async def _body(self, request: Request) -> bytes:
        too_large = errors.PayloadTooLarge(f"the body is over {self._max_bytes} bytes")
        declared = request.headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > self._max_bytes:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > self._max_bytes:
                    raise too_large
                chunks.append(chunk)
        return b"".join(chunks)

    def _take(self, endpoint: Endpoint, delivery: Delivery, origin: Origin) -> Outcome:
        outcome = endpoint.receive(delivery, origin, self._intake)
        for reason, count in (outcome.ignored or {}).items():
            if isinstance(reason, Drop):
                metrics.LOOP_DROPS.labels(guard=reason).inc(count)
            metrics.WEBHOOK_IGNORED.labels(dialect=endpoint.dialect, reason=reason).inc(count)
        if outcome.confirm is not None:
            self._fetch(outcome.confirm)
            log.info("webhook.subscription_confirmed", registry=endpoint.registry_id)
        return outcome

    async def options(self, request: Request) -> Response:
        """Grant Event Grid's request to deliver; it carries no secret, so nobody else is."""
        endpoint = self._endpoints().get(request.path_params["registry_id"])
        origin = request.headers.get("webhook-request-origin", "")
        asked = endpoint is not None and DIALECTS[endpoint.dialect].event_grid
        if not asked or origin != EVENT_GRID:
            return Response(status_code=405, headers={"Allow": "POST"})
        return Response(
            status_code=200,
            headers={"Allow": "POST", "WebHook-Allowed-Origin": origin},
        )


def webhook_router(receiver: Receiver) -> APIRouter:
    """Routes of the receiver, with and without token and final slash."""
    router = APIRouter(redirect_slashes=False)
    for path in ("/webhooks/{registry_id}", "/webhooks/{registry_id}/{token}"):
        for form in (path, path + "/"):
            router.add_route(form, receiver.post, methods=["POST"], include_in_schema=False)
            router.add_route(form, receiver.options, methods=["OPTIONS"], include_in_schema=False)
    return router


def _headers(request: Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        # A doubled secret header thus matches nothing, whichever copy a proxy would believe.
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _origin(request: Request) -> Origin:
    address = request.client.host if request.client else None
    return Origin(address=address, path_token=request.path_params.get("token"))


def _receipt(outcome: Outcome) -> dict[str, Any]:
    return {
        "accepted": outcome.accepted,
        "duplicates": outcome.duplicates,
        "ignored": dict(outcome.ignored or {}),
    }


def _refusal(
    request: Request, endpoint: Endpoint, error: errors.VerilayerError
) -> tuple[Response, Answered]:
    labels: dict[type[errors.VerilayerError], Answered] = {
        errors.Unauthenticated: "unauthorized",
        errors.PayloadTooLarge: "too-large",
        errors.PayloadInvalid: "malformed",
    }
    label = labels.get(type(error), "unavailable")
    # A secret file that vanished is ours to mend; the sender should come again.
    status = 503 if isinstance(error, errors.ConfigurationError) else status_of(error)
    headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else {}
    log.warning("webhook.refused", registry=endpoint.registry_id, code=error.code, why=str(error))
    detail = "temporarily unable to take events" if status == 503 else error.message
    return render(request, status, error.code, detail, headers=headers), label
