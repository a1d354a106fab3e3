from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.dialects import DialectName
from tests.support.webhook_cases import CASES, READING_HEADERS, Case
from tests.support.webhook_invariants import check_parser

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=40)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            found += places(item, (*path, at))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {k: replaced(v, path[1:], new) if k == path[0] else v for k, v in value.items()}
    return [replaced(v, path[1:], new) if n == path[0] else v for n, v in enumerate(value)]


@pytest.mark.parametrize("dialect", sorted({case.dialect for case in CASES}))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_real_payload_with_one_value_changed(dialect: DialectName, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([case for case in CASES if case.dialect == dialect]))
    path = data.draw(st.sampled_from(places(case.body)))
    changed = replaced(case.body, path, data.draw(VALUES))
    body = json.dumps(changed).encode("utf-8", "surrogatepass")
    check_parser(dialect, Case("", dialect, b"", case.headers).delivery.headers, body)


@pytest.mark.parametrize("dialect", sorted({case.dialect for case in CASES}))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_real_payload_cut_and_damaged(dialect: DialectName, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([case for case in CASES if case.dialect == dialect]))
    body = bytearray(case.delivery.body)
    for _ in range(data.draw(st.integers(0, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check_parser(
        dialect, case.delivery.headers, bytes(body[: data.draw(st.integers(0, len(body)))])
    )


@settings(max_examples=100, deadline=None)
@given(dialect=st.sampled_from(sorted({case.dialect for case in CASES})), body=VALUES)
def test_any_json(dialect: DialectName, body: object) -> None:
    encoded = json.dumps(body).encode("utf-8", "surrogatepass")
    check_parser(dialect, READING_HEADERS.get(dialect, {}), encoded)
