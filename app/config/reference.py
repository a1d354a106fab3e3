"""docs/configuration.md, written from the models, so that it cannot lie about a field."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from types import NoneType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.config.choice import OneOf
from app.config.environment import VARIABLES
from app.config.model import SecretSource, ServiceConfig

_HEAD = """\
# Configuration

Two things are configured: the *document* says what is converted, from where, and with which keys;
*settings* say how a process runs. This page is written from the code by `make docs`.

## The document

YAML, by default `verilayer.yaml`. A small one:

```yaml
registries:
  - id: main
    url: https://registry.example
    credentials: {kind: basic, username: robot, password: {file: /run/secrets/registry}}
    webhook: {dialect: distribution, secrets: [{env: WEBHOOK_SECRET}]}
signers:
  - {name: release, kind: pem, key: /run/secrets/key.pem, certificate: /etc/verilayer/cert.pem}
defaults: {signer: release}
rules:
  - {name: scratch, repositories: ["scratch/*"], action: ignore}
  - {name: everything, tags: ["v*", "latest"]}
```

The first rule that matches a push decides; without one nothing happens. `verilayer rules check`
validates the file and points at each mistake as `file:line:column`; `verilayer rules test REF` says
which rule decides about an image and why. Webhooks are in [webhooks.md](webhooks.md).

The service looks at the file every two seconds, and at once on SIGHUP. A file with a mistake
changes nothing: the old configuration stays in force, the log says why (`config.rejected`), and
`/readyz` answers `"configuration": "rejected"`. Secrets in files are read again when they change.

For editors, [verilayer.schema.json](verilayer.schema.json) is the JSON Schema; the service answers
it at `/config.schema.json`. With the YAML language server, begin the file with
`# yaml-language-server: $schema=verilayer.schema.json`.
"""

_SECRETS = """
### Secrets

Where a value is a *secret*, write a mapping with exactly one of these keys:

| key | meaning |
| --- | --- |
"""

_ENVIRONMENT = """
## One registry by environment

Where the file does not exist, these variables configure one registry, one rule and one key. Lists
are separated by commas. Without `VERILAYER_REGISTRY_URL` nothing is configured; with a file *and*
one of them the service does not start.

| variable | stands for |
| --- | --- |
"""

_SETTINGS = """
## Settings

Environment variables of a process, read once at its start; a folder named by
`VERILAYER_SECRETS_DIR` may hold them as files instead.

| variable | meaning | default |
| --- | --- | --- |
"""


def page(settings: type[BaseModel]) -> str:
    """Return the whole page; ``settings`` is the model of ``VERILAYER_*`` variables."""
    sections = "".join(_section(path, model) for path, model in _models(ServiceConfig, ""))
    secrets = _SECRETS + "".join(
        f"| `{name}` | {_text(field)} |\n" for name, field in SecretSource.model_fields.items()
    )
    variables = "".join(
        f"| `{name}` | {_target(path, form)} |\n" for name, (path, form) in VARIABLES.items()
    )
    rows = "".join(
        f"| `VERILAYER_{name.upper()}` | {_text(field)} | {_default(field)} |\n"
        for name, field in settings.model_fields.items()
    )
    return _HEAD + sections + secrets + _ENVIRONMENT + variables + _SETTINGS + rows


def _models(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model of the document with the path of its keys, each once."""
    yield path, model
    seen = set()
    for name, field in model.model_fields.items():
        below = _model_of(field.annotation)
        if below is None or below in seen or below.__name__ == "SecretSource":
            continue
        seen.add(below)
        many = typing.get_origin(field.annotation) is tuple
        yield from _models(below, f"{path}{'.' if path else ''}{name}{'[]' if many else ''}")


def _section(path: str, model: type[BaseModel]) -> str:
    summary = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    more = "\n\n".join(" ".join(p.split()) for p in (model.__doc__ or "").split("\n\n")[1:])
    summary, more = summary.replace("``", "`"), more.replace("``", "`")
    title = f"\n### `{path}`\n\n{summary}\n" if path else "\n### The top level\n"
    rows = "".join(
        f"| `{name}` | {_kind(field)} | {_default(field)} | {_text(field)} |\n"
        for name, field in model.model_fields.items()
    )
    return (
        title
        + (f"\n{more}\n" if more else "")
        + "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n"
        + rows
    )


def _text(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}, "") or isinstance(value, BaseModel):
        return "none" if value is None else ""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return f"`{value}`" if isinstance(value, str | int | float | PurePath) else ""


def _kind(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {limit}"
        for item in field.metadata
        for kind, sign, limit in (
            (Ge, ">=", getattr(item, "ge", None)),
            (Gt, ">", getattr(item, "gt", None)),
            (Le, "<=", getattr(item, "le", None)),
            (Lt, "<", getattr(item, "lt", None)),
            (MaxLen, "at most", getattr(item, "max_length", None)),
        )
        if isinstance(item, kind)
    ]
    return ", ".join([_name(field.annotation, field.metadata), *bounds])


def _name(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    for mark in metadata:
        if isinstance(mark, OneOf):
            return _choices(mark.names)
    arguments = [a for a in typing.get_args(annotation) if a not in (NoneType, ...)]
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return _choices(arguments)
    if origin is Annotated:
        return _name(arguments[0], arguments[1:])
    if origin is tuple:
        return f"list of {_name(arguments[0])}"
    if origin is dict:
        return f"mapping to {_name(arguments[1])}"
    if origin is not None and arguments:
        return _name(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "secret" if annotation.__name__ == "SecretSource" else "mapping"
    names = {str: "text", int: "integer", float: "number", bool: "`true`, `false`"}
    return names.get(annotation, "text")


def _choices(values: Iterable[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_of(argument) for argument in typing.get_args(annotation))
    return next((model for model in found if model is not None), None)


def _target(path: str, form: str) -> str:
    kind, _, rest = path.partition(".")
    section = {"registry": "registries[]", "rule": "rules[]", "signer": "signers[]"}[kind]
    note = " (a list)" if form == "list" else ""
    return f"`{section}.{rest}`{note}"
