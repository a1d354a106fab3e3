"""WWW-Authenticate challenges (RFC 9110, section 11.6.1), as registries send them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - the RFC's word for it
_PART = re.compile(
    rf"\s*(?:,\s*)*(?:(?P<name>{_TOKEN})\s*=\s*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<bare>{_TOKEN}))"
    rf"|(?P<scheme>{_TOKEN})(?=\s|,|\Z))"
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme (lowercase) and its parameters (lowercase names)."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes of a bearer challenge, each ``type:name:actions``."""
        return tuple(self.parameters.get("scope", "").split())


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges of all header lines; what cannot be parsed ends its line."""
    found: list[Challenge] = []
    for header in headers:
        position, current = 0, None
        while position < len(header):
            match = _PART.match(header, position)
            if match is None:
                break
            position = match.end()
            if match["scheme"]:
                current = Challenge(match["scheme"].lower())
                found.append(current)
            elif current is not None:
                quoted = match["quoted"]
                value = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                current.parameters.setdefault(match["name"].lower(), value)
    return found
