"""Meaning of answers: errors, Retry-After, Link."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.registry.responses import error_detail, error_for, next_link, printable, retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_retry_after_in_both_forms(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</v2/_catalog?n=2&last=b>; rel="next"', "/v2/_catalog?n=2&last=b"),
        ("</a>; rel=prev, </b>; title=x; rel=next", "/b"),
        ('<https://h/c>; REL="next last"', "https://h/c"),
        ('</a>; rel="previous"', None),
        ('</v2/x?last=a;b>; rel="next"', "/v2/x?last=a;b"),
        ('</a>; title="a=b, c"; rel=next', "/a"),
        ('</a>; title="never closed, </b>; rel=next', "/b"),
        ("<</a>; rel=next", "/a"),
        ("nonsense", None),
        (None, None),
    ],
)
def test_next_link(header: str | None, target: str | None) -> None:
    assert next_link(header) == target


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, errors.ResponseInvalid),
        (302, errors.ResponseInvalid),
        (400, errors.RegistryError),
        (401, errors.Unauthorized),
        (403, errors.Unauthorized),
        (404, errors.NotFound),
        (408, errors.Unavailable),
        (429, errors.RateLimited),
        (500, errors.Unavailable),
        (503, errors.Unavailable),
    ],
)
def test_statuses_have_types(status: int, kind: type[errors.RegistryError]) -> None:
    error = error_for(status, {}, b"", "blob a/b@sha256:0")
    assert type(error) is kind
    assert "blob a/b@sha256:0" in str(error)
    assert str(status) in str(error)


def test_the_registrys_reason_is_told_but_cannot_forge_log_lines() -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": 'no\n{"level": "info"}\x1b[2J'}]})
    error = error_for(403, {}, body.encode(), "x")
    assert "DENIED no" in str(error)
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)


def test_retry_after_travels_with_the_error() -> None:
    limited = error_for(429, {"retry-after": "7"}, b"", "x")
    assert isinstance(limited, errors.RateLimited)
    assert limited.retry_after == 7.0


@given(st.binary(max_size=400))
def test_any_error_body_is_survived(body: bytes) -> None:
    codes, text = error_detail(body)
    assert len(codes) <= 8
    assert text == printable(text)
