"""The environment as configuration, for the simple case: one registry, one rule, one key.

More than that belongs in the file. Lists are separated by commas.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.config.model import ServiceConfig
from app.errors import ConfigurationError

#: Variable -> (where its value goes, how it is read). Without the first, nothing is configured.
VARIABLES: Mapping[str, tuple[str, str]] = {
    "VERILAYER_REGISTRY_URL": ("registry.url", "text"),
    "VERILAYER_REGISTRY_ID": ("registry.id", "text"),
    "VERILAYER_REGISTRY_HOST": ("registry.host", "text"),
    "VERILAYER_REGISTRY_USERNAME": ("registry.credentials.username", "text"),
    "VERILAYER_REGISTRY_PASSWORD": ("registry.credentials.password", "secret"),
    "VERILAYER_REGISTRY_PRIVATE": ("registry.allow_private_addresses", "text"),
    "VERILAYER_REGISTRY_ACTOR": ("registry.actor", "text"),
    "VERILAYER_REGISTRY_REPOSITORIES": ("registry.repositories", "list"),
    "VERILAYER_WEBHOOK_DIALECT": ("registry.webhook.dialect", "text"),
    "VERILAYER_WEBHOOK_AUTH": ("registry.webhook.auth", "text"),
    "VERILAYER_WEBHOOK_HEADER": ("registry.webhook.header", "text"),
    "VERILAYER_WEBHOOK_USERNAME": ("registry.webhook.username", "text"),
    "VERILAYER_WEBHOOK_SECRET": ("registry.webhook.secrets", "secrets"),
    "VERILAYER_RULE_REPOSITORIES": ("rule.repositories", "list"),
    "VERILAYER_RULE_TAGS": ("rule.tags", "list"),
    "VERILAYER_RULE_PLATFORMS": ("rule.platforms", "list"),
    "VERILAYER_RULE_PROFILES": ("rule.profiles", "list"),
    "VERILAYER_SIGNER_KIND": ("signer.kind", "text"),
    "VERILAYER_SIGNER_KEY": ("signer.key", "text"),
    "VERILAYER_SIGNER_CERTIFICATE": ("signer.certificate", "text"),
}


def names_in(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the variables that are set, sorted."""
    environ = os.environ if environ is None else environ
    return sorted(name for name in VARIABLES if environ.get(name))


def from_environment(environ: Mapping[str, str] | None = None) -> ServiceConfig | None:
    """Build a configuration from the variables, or None when no registry is named.

    Raises ``ConfigurationError`` that names the variable.
    """
    environ = os.environ if environ is None else environ
    if not environ.get("VERILAYER_REGISTRY_URL"):
        return None
    parts: dict[str, Any] = {"registry": {"id": "default"}, "rule": {"name": "environment"}}
    for name in names_in(environ):
        path, form = VARIABLES[name]
        _put(parts, path.split("."), _read(name, environ[name], form))
    if "credentials" in parts["registry"]:
        parts["registry"]["credentials"]["kind"] = "basic"
    if "webhook" in parts["registry"]:
        parts["registry"]["webhook"].setdefault("dialect", "distribution")
    document: dict[str, Any] = {"registries": [parts["registry"]], "rules": [parts["rule"]]}
    if "signer" in parts:
        document["signers"] = [{"name": "default", **parts["signer"]}]
        document["defaults"] = {"signer": "default"}
    try:
        return ServiceConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_lines(error))) from None


def _read(name: str, text: str, form: str) -> Any:
    if form == "list":
        return [part.strip() for part in text.split(",") if part.strip()]
    if form == "secret":
        return {"env": name}
    return [{"env": name}] if form == "secrets" else text


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value


def _lines(error: ValidationError) -> list[str]:
    kinds = {"registries": "registry", "rules": "rule", "signers": "signer"}
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        head, *rest = [str(part) for part in one["loc"]] or [""]
        path = ".".join([kinds.get(head, head), *[part for part in rest if not part.isdigit()]])
        name = next((n for n, (where, _) in VARIABLES.items() if path.startswith(where)), path)
        lines.append(f"{name}: {str(one['msg']).removeprefix('Value error, ')}")
    return lines
