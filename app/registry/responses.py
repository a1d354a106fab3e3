"""What a registry's answer means: errors, Retry-After, Link. Pure functions over bounded text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.errors import (
    ContentMismatch,
    NotFound,
    RateLimited,
    RegistryError,
    ResponseInvalid,
    Unauthorized,
    Unavailable,
)

#: Error bodies are read up to this many bytes.
MAX_ERROR_BYTES = 64 << 10
# Not httpx's Response.links: it cuts a target at its first ";", reads rel only in lower case and as
# one word, and stops at a parameter with a second "=". A link that is lost that way ends a listing
# early without an error, and a list of referrers that misses some makes us attach or prune wrongly.
_LINK = re.compile(r"<([^<>]*)>\s*((?:;(?:[^,;<\"]|\"[^\"]*\")*)*)")


def retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header, in either form (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def next_link(header: str | None) -> str | None:
    """Return the target of ``rel="next"`` (RFC 8288), as distribution-spec pagination uses it."""
    for target, parameters in _LINK.findall(header or ""):
        for parameter in parameters.split(";"):
            name, _, value = parameter.strip().partition("=")
            if name.lower() == "rel" and "next" in value.strip('"').lower().split():
                return str(target)
    return None


def error_detail(body: bytes) -> tuple[tuple[str, ...], str]:
    """Return the error codes and a printable message of an error body (distribution-spec)."""
    try:
        errors = json.loads(body)["errors"]
        codes = tuple(str(error.get("code", ""))[:64] for error in errors[:8])
        text = "; ".join(
            " ".join(
                str(part)
                for part in (error.get("code"), error.get("message"), error.get("detail"))
                if part
            )
            for error in errors[:8]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        codes, text = (), body[:300].decode("utf-8", "replace")
    return codes, printable(text)


def printable(text: str) -> str:
    """Return text of a stranger without control characters, cut to 300 characters."""
    return "".join(c if c.isprintable() else " " for c in text)[:300].strip()


def error_for(status: int, headers: Mapping[str, str], body: bytes, what: str) -> RegistryError:
    """Translate a refusal into our tree of errors; ``what`` names what was asked for."""
    codes, text = error_detail(body)
    message = f"{what}: {status}" + (f" {text}" if text else "")
    if status == 429 or "TOOMANYREQUESTS" in codes:
        return RateLimited(message, retry_after=retry_after(headers.get("retry-after")))
    if status in (401, 403):
        advice = "check the registry's credentials and that they may do this"
        return Unauthorized(message, advice=advice, status=status)
    if status == 404:
        return NotFound(message)
    if status >= 500 or status in (408, 425):
        return Unavailable(message, status=status, wait=retry_after(headers.get("retry-after")))
    if status == 400 and {"DIGEST_INVALID", "SIZE_INVALID"} & set(codes):
        return ContentMismatch(message, status=status)
    if status < 400:
        kind = "redirect" if status >= 300 else "answer"
        return ResponseInvalid(f"{what}: unexpected {kind} ({status})", status=status)
    return RegistryError(message, status=status, codes=codes, text=text)
