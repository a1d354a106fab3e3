"""Finds the parser of a dialect. The endpoint's configuration names it; nothing is detected."""

from __future__ import annotations

import importlib

from app.catalog.dialects import DIALECTS, DialectName
from app.webhooks.delivery import Parser


def open_parser(dialect: DialectName) -> Parser:
    """Import the dialect's module and return its ``parse``."""
    parser: Parser = importlib.import_module(
        f"app.webhooks.dialects.{DIALECTS[dialect].parser}"
    ).parse
    return parser
