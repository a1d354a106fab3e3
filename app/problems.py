"""Errors as ``application/problem+json`` (RFC 9457) with stable codes; the one place with statuses.

The body holds ``type``, ``title``, ``status``, ``detail``, ``instance`` and our ``code``, plus
``advice`` when there is something to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from app import errors
from app.observability.redaction import redact_text

MEDIA_TYPE = "application/problem+json"

#: Nearest ancestor wins.
STATUS: Mapping[type[errors.VerilayerError], int] = {
    errors.VerilayerError: 500,
    errors.ConfigurationError: 500,
    errors.SourceInvalid: 422,
    errors.NotConvertible: 422,
    errors.RegistryError: 502,
    errors.NotFound: 404,
    errors.RateLimited: 503,
    errors.Unavailable: 503,
    errors.DeliveryRefused: 400,
    errors.Unauthenticated: 401,
    errors.PayloadTooLarge: 413,
    errors.SigningError: 503,
    errors.BrokerUnavailable: 503,
    errors.SpoolExhausted: 503,
    errors.Cancelled: 409,
}

#: Errors that packages above ``app.errors`` define, by their stable code.
STATUS_BY_CODE: Mapping[str, int] = {
    "cursor-invalid": 422,
    "illegal-transition": 409,
}

TITLES = {
    400: "Bad request",
    401: "Authentication required",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    408: "Body not received in time",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Request not understood",
    429: "Too many requests",
    500: "Internal error",
    502: "Registry failed",
    503: "Temporarily unavailable",
}


class Problem(Exception):
    """Raised by routes to answer with a problem document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: object,
    ) -> None:
        """``code`` is stable; ``extra`` members join the document."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


def status_of(error: errors.VerilayerError) -> int:
    """Return the HTTP status of an error by its code, else by its nearest mapped ancestor."""
    if error.code in STATUS_BY_CODE:
        return STATUS_BY_CODE[error.code]
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def render(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **extra: object,
) -> JSONResponse:
    """Build the response."""
    body = {
        "type": f"urn:verilayer:problem:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        # A webhook's path may end with a token, and senders log what they are answered.
        "instance": redact_text(request.url.path),
        "code": code,
        **extra,
    }
    return JSONResponse(
        jsonable_encoder(body),
        status_code=status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Register the handlers for our errors, FastAPI's validation and Starlette's HTTP errors."""

    @app.exception_handler(Problem)
    def _problem(request: Request, error: Problem) -> JSONResponse:
        return render(
            request, error.status, error.code, error.detail, headers=error.headers, **error.extra
        )

    @app.exception_handler(errors.VerilayerError)
    def _ours(request: Request, error: errors.VerilayerError) -> JSONResponse:
        status = status_of(error)
        headers = {"Retry-After": "5"} if status == 503 else {}
        extra = {"advice": error.advice} if error.advice else {}
        return render(request, status, error.code, error.message, headers=headers, **extra)

    @app.exception_handler(RequestValidationError)
    def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        # The input itself is left out: it may hold a secret, or be megabytes.
        found = [
            {"loc": [str(part) for part in one["loc"]], "msg": one["msg"], "type": one["type"]}
            for one in error.errors()
        ]
        first = found[0] if found else {"loc": [], "msg": "invalid request"}
        detail = f"{'.'.join(first['loc'])}: {first['msg']}"
        return render(request, 422, "request-invalid", detail, errors=found)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        status = error.status_code
        code = {404: "not-found", 405: "method-not-allowed"}.get(status, f"http-{status}")
        headers = dict(error.headers or {})
        if status == 405:
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        return render(request, status, code, str(error.detail), headers=headers)


def _methods(request: Request) -> set[str]:
    """All methods of a path; Starlette names only those of the first route that has it."""
    found: set[str] = set()
    for route in _routes(request.app.router.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= set(getattr(route, "methods", None) or ())
    return found


def _routes(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        yield route
        yield from _routes(getattr(route, "routes", None) or ())
