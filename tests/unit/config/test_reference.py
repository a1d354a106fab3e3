from __future__ import annotations

import json
import typing
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from app.config.environment import VARIABLES
from app.config.file import parse_config
from app.config.model import ServiceConfig
from app.config.reference import page
from app.config.schema import json_schema
from app.settings import Settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "configuration.md").read_text()


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    seen.add(model)
    waiting: list[typing.Any] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        one = waiting.pop()
        waiting += typing.get_args(one)
        if isinstance(one, type) and issubclass(one, BaseModel) and one not in seen:
            models(one, seen)
    return seen


def test_the_page_is_what_the_models_say() -> None:
    assert page(Settings) == PAGE, "run make docs"


def test_the_schema_is_what_the_models_say() -> None:
    text = (ROOT / "docs" / "verilayer.schema.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(json_schema())), "run make docs"


def test_every_field_has_a_meaning_and_a_line() -> None:
    found = models(ServiceConfig, set())
    assert len(found) > 5
    assert VARIABLES
    for model in found:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert f"| `{name}` |" in PAGE
    assert all(f"`{name}`" in PAGE for name in VARIABLES)


def test_the_example_is_valid_and_the_schema_agrees() -> None:
    example = PAGE.partition("```yaml\n")[2].partition("```")[0]
    assert parse_config(example, "example").registries[0].id == "main"
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(yaml.safe_load(example))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"registries": [{"id": "main", "ulr": "https://x"}]})
