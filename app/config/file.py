"""The configuration file: YAML read into ``ServiceConfig``, every error with file, line, column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.config.environment import from_environment, names_in
from app.config.model import Inconsistent, ServiceConfig
from app.config.yaml import Document, Location, parse
from app.errors import ConfigurationError

MAX_FILE_BYTES = 4 << 20
_MOST_ERRORS = 20


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> ServiceConfig:
    """Read the configuration; where the file does not exist, the environment alone may do.

    Raises ``ConfigurationError`` with one line for each mistake, as ``file:line:column: what``.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigurationError(f"{path} has more than {MAX_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        config = from_environment(environ)
        if config is None:
            raise ConfigurationError(
                f"{path} does not exist and the environment configures no registry",
                advice="write the file, or set VERILAYER_REGISTRY_URL; see docs/configuration.md",
            ) from None
        return config
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from None
    if names := names_in(environ):
        raise ConfigurationError(
            f"{path} exists, and the environment configures a registry too: {', '.join(names)}",
            advice="use one of them; which one wins must not be guessed",
        )
    return parse_config(text, str(path))


def parse_config(text: str, name: str) -> ServiceConfig:
    """Validate a document; ``name`` stands for the file in errors.

    Raises ``ConfigurationError`` with the line of what is wrong.
    """
    document = parse(text, name)
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name}:1:1: the document must be a mapping")
    try:
        return ServiceConfig.model_validate(value)
    except ValidationError as error:
        raise ConfigurationError(_explain(document, error)) from None


def _explain(document: Document, error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)
    lines = [line for one in found for line in _lines(document, dict(one))]
    if len(lines) > _MOST_ERRORS:
        lines = [*lines[:_MOST_ERRORS], f"and {len(lines) - _MOST_ERRORS} more"]
    return "\n".join(lines)


def _lines(document: Document, error: dict[str, Any]) -> list[str]:
    location = tuple(error["loc"])
    cause = (error.get("ctx") or {}).get("error")
    if isinstance(cause, Inconsistent):
        return [_line(document, place, problem) for place, problem in cause.places]
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = f"unknown key {location[-1]!r}"
    elif error["type"] == "missing":
        message = f"key {location[-1]!r} is missing"
    return [_line(document, location, message)]


def _line(document: Document, location: Location, message: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{document.where(location)}: {path.removeprefix('.') or 'document'}: {message}"
