from __future__ import annotations

from pathlib import Path

import pytest

from app.config.environment import VARIABLES
from app.config.file import load_config
from app.errors import ConfigurationError

SIMPLE = {
    "VERILAYER_REGISTRY_URL": "https://registry.example",
    "VERILAYER_REGISTRY_USERNAME": "robot",
    "VERILAYER_REGISTRY_PASSWORD": "password",
    "VERILAYER_WEBHOOK_SECRET": "a-secret",
    "VERILAYER_RULE_TAGS": "v*, latest",
    "VERILAYER_SIGNER_KIND": "ephemeral",
}


def test_one_registry_by_environment(tmp_path: Path) -> None:
    config = load_config(tmp_path / "absent", SIMPLE)
    (registry,) = config.registries
    assert (registry.id, registry.credentials.kind) == ("default", "basic")
    assert registry.webhook is not None
    assert registry.webhook.dialect == "distribution"
    assert registry.webhook.secrets[0].env == "VERILAYER_WEBHOOK_SECRET"
    assert config.match("default", "team/app", "v1") is not None
    assert config.match("default", "team/app", "dev") is None
    assert config.defaults.signer == "default"
    assert "password" not in repr(config).replace("password=", "").replace("PASSWORD", "")


def test_every_variable_has_a_place(tmp_path: Path) -> None:
    values = dict.fromkeys(VARIABLES, "1") | SIMPLE
    values |= {
        "VERILAYER_REGISTRY_ID": "mine",
        "VERILAYER_REGISTRY_PRIVATE": "true",
        "VERILAYER_WEBHOOK_DIALECT": "harbor",
        "VERILAYER_WEBHOOK_AUTH": "header",
        "VERILAYER_RULE_PROFILES": "verilayer",
    }
    config = load_config(tmp_path / "absent", values)
    assert config.registries[0].allow_private_addresses
    assert config.rules[0].profiles == ("verilayer",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VERILAYER_REGISTRY_URL", "registry.example"),
        ("VERILAYER_WEBHOOK_DIALECT", "unknown"),
        ("VERILAYER_RULE_PROFILES", "unknown"),
        ("VERILAYER_SIGNER_KIND", "unknown"),
    ],
)
def test_a_mistake_names_the_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load_config(tmp_path / "absent", SIMPLE | {name: value})


def test_file_and_environment_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "verilayer.yaml"
    file.write_text("rules: []")
    with pytest.raises(ConfigurationError, match="VERILAYER_REGISTRY_URL"):
        load_config(file, SIMPLE)
    assert load_config(file, {}).registries == ()
