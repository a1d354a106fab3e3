"""Turns records into pages: templates, their filters, and headers that every answer has."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.console.gate import LoginNeeded
from app.errors import VerilayerError
from app.problems import TITLES, Problem, status_of

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _moment(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)) if at else "–"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


_environment = Environment(
    loader=PackageLoader("app.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(moment=_moment, size=_size, seconds=_seconds)


def page(name: str, status: int = 200, **values: object) -> HTMLResponse:
    """Render a template; ``visit`` is None on pages for those who are not logged in."""
    values.setdefault("visit", None)
    return HTMLResponse(_environment.get_template(name).render(values), status_code=status)


class ConsoleRoute(APIRoute):
    """Answers errors with pages instead of problem documents, and sets ``HEADERS``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await inner(request)
            except LoginNeeded:
                response = _to_login(request)
            except Problem as error:
                response = _problem(error.status, error.code, error.detail)
                response.headers.update(error.headers)
            except VerilayerError as error:
                response = _problem(status_of(error), error.code, str(error))
            except RequestValidationError:
                response = _problem(422, "request-invalid", "the address has a value out of range")
            response.headers.update(HEADERS)
            return response

        return answer


def _problem(status: int, code: str, detail: str) -> Response:
    return page("error.html", status, title=TITLES.get(status, "Error"), code=code, detail=detail)


def _to_login(request: Request) -> Response:
    if request.method != "GET":
        return RedirectResponse("/console/login", 303)
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/console/login?next={quote(wanted, safe='')}", 303)
