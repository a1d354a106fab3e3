from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from app.catalog.builders import DEFAULT_BUILDER, offered
from app.catalog.dialects import DIALECTS
from app.catalog.profiles import DEFAULT_PROFILE, PROFILES
from app.config.choice import OneOf
from app.config.model import BuildConfig, Defaults

NAMES = TypeAdapter(tuple[Annotated[str, OneOf({"one": 1, "two": 2})], ...])
SAME = TypeAdapter(tuple[Literal["one", "two"], ...])


def test_names_of_a_table_are_what_a_literal_is() -> None:
    assert NAMES.json_schema() == SAME.json_schema()
    assert NAMES.validate_python(["two", "one"]) == ("two", "one")
    for wrong in (["one", "three"], [1], [None], [["one"]]):
        with pytest.raises(ValidationError) as ours:
            NAMES.validate_python(wrong)
        with pytest.raises(ValidationError) as theirs:
            SAME.validate_python(wrong)
        assert ours.value.errors() == theirs.value.errors()


def test_defaults_are_names_of_their_tables() -> None:
    """The checker sees text, and pydantic does not look at defaults."""
    assert DEFAULT_PROFILE in PROFILES
    assert DEFAULT_BUILDER in offered()
    assert BuildConfig.model_validate(BuildConfig().model_dump()) == BuildConfig()
    assert Defaults.model_validate(Defaults().model_dump()) == Defaults()


def test_every_dialect_can_prove_itself_by_what_its_row_names() -> None:
    for row in DIALECTS.values():
        assert row.auth
        assert len(set(row.auth)) == len(row.auth)
        assert row.signature_headers
        assert row.issuer is None or "oidc" in row.auth
