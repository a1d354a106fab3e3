"""JSON Schema of the configuration file, for editors; published as docs/verilayer.schema.json."""

from __future__ import annotations

from typing import Any

from app.config.model import ServiceConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema of the whole document."""
    return {
        "$schema": DIALECT,
        "title": "verilayer configuration",
        **{k: v for k, v in ServiceConfig.model_json_schema().items() if k != "title"},
    }
