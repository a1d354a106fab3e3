"""Keeps secrets out of log lines: by the name of the field, and by shape within text."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "[redacted]"

_SECRET_NAME = re.compile(
    r"passw|secret|token|authorization|cookie|credential|api[-_]?key|private[-_]?key|signature[-_]key",
    re.IGNORECASE,
)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Authorization values, wherever they are quoted.
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    # URL user information: redis://:password@host, https://user:password@host.
    (re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)"), HIDDEN),
    # Webhook sources that can only carry a secret in the path: /webhooks/ID/SECRET.
    (re.compile(r"(/webhooks/[a-z0-9-]{1,63}/)[^\s/?\"']+"), rf"\1{HIDDEN}"),
    # Presigned URLs and tokens in queries.
    (
        re.compile(
            r"([?&](?:[a-z_-]*(?:token|secret|signature|sig|key|password))=)[^&\s\"']+", re.I
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END|\Z)", re.DOTALL), HIDDEN),
)


def redact_text(text: str) -> str:
    """Hide what looks like a secret inside a text."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    return text


def redact(name: str, value: object) -> object:
    """Hide a field's value when its name or its text says that it is secret; recurses."""
    if _SECRET_NAME.search(name) and isinstance(value, str | bytes | list | tuple | dict):
        return HIDDEN
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {str(key): redact(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact("", item) for item in value]
    return value
