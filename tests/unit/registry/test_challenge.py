"""Challenges as registries send them, and as attackers would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.registry.auth.challenge import Challenge, parse_challenges

SCOPE = "repository:a/b:pull,push"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"',
            [("bearer", {"realm": "https://a/t", "service": "s", "scope": SCOPE})],
        ),
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        ('BASIC realm="a \\"b\\""', [("basic", {"realm": 'a "b"'})]),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        (
            'Basic realm="x", Bearer realm="y" , service=z',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})],
        ),
        ('Bearer realm="first",realm="second"', [("bearer", {"realm": "first"})]),
        ("", []),
        ('realm="lost"', []),
        ('Bearer realm="open', [("bearer", {})]),
    ],
)  # fmt: skip
def test_parse(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges([header]) == [Challenge(*pair) for pair in expected]


def test_scopes_are_separated_by_spaces() -> None:
    challenge = parse_challenges(['Bearer scope="repository:a:pull repository:b:pull"'])[0]
    assert challenge.scopes == ("repository:a:pull", "repository:b:pull")


@given(st.lists(st.text(max_size=200), max_size=3))
def test_anything_is_parsed_without_an_error(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()
