"""Dependencies of console routes: the session behind a request, and forms that are ours."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from app.admin.access import Access
from app.admin.authorization import Principal
from app.catalog.vocabulary import Role
from app.console.sessions import Session, Sessions
from app.problems import Problem

COOKIE = "verilayer_console"
_FORM_BYTES = 16_384


class LoginNeeded(Exception):
    """Nobody is logged in; the page sends them to the login form."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of someone who is logged in."""

    who: Principal
    session: Session

    def need(self, role: Role) -> None:
        """Raise ``Problem`` 403 for a lower role."""
        if self.who.role < role:
            raise Problem(
                403,
                "role-insufficient",
                f"{self.who.name} has role {self.who.role.name}, this needs {role.name}",
            )


class Gate:
    """Lets logged-in people in."""

    def __init__(self, access: Access, sessions: Sessions) -> None:
        self._access = access
        self._sessions = sessions

    def visit(self, request: Request) -> Visit:
        """The dependency of every page; raises ``LoginNeeded`` and ``Problem`` 429."""
        found = self._sessions.find(request.cookies.get(COOKIE, ""))
        if found is None:
            raise LoginNeeded
        self._access.count(found[0])
        return Visit(*found)


async def own_form(request: Request) -> dict[str, str]:
    """Read a form that our own page sent; raises ``Problem`` 403, 413."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    foreign = site not in (None, "same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("Host")
    )
    if foreign:
        raise Problem(403, "form-foreign", "the form was sent by a page of another site")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            raise Problem(413, "form-too-large", f"a form has at most {_FORM_BYTES} bytes")
    text = body.decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise Problem(422, "form-invalid", "the form has too many fields") from None


def check_csrf(visit: Visit, form: dict[str, str]) -> None:
    """Raise ``Problem`` 403 unless the form carries this session's token."""
    if not hmac.compare_digest(form.get("csrf", "").encode(), visit.session.csrf.encode()):
        raise Problem(403, "form-stale", "this form is of another login: load the page again")
