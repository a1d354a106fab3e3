from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.admin.authorization import Authenticator
from app.catalog.vocabulary import Role
from app.config.file import load_config
from app.errors import ConfigurationError
from workers.supervisor import first_start


def test_the_first_configuration_is_valid_and_names_a_generated_secret(tmp_path: Path) -> None:
    file, state = tmp_path / "verilayer.yaml", tmp_path / "state"
    with first_start.exclusive(state):
        assert first_start.write_configuration(file, state, "http://127.0.0.1:5000")
    config = load_config(file, {})
    (registry,) = config.registries
    assert (registry.id, registry.url) == ("local", "http://127.0.0.1:5000")
    assert registry.webhook is not None
    secret_file = Path(registry.webhook.secrets[0].file or "")
    assert len(secret_file.read_text()) >= 32
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    token_file = first_start.configured_token(config, state)
    assert token_file is not None
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert token_file.read_text() not in file.read_text()
    caller = Authenticator(config.admin).authenticate(f"Bearer {token_file.read_text()}")
    assert caller.role is Role.admin
    rule = config.match("local", "team/app", "1")
    assert rule is not None
    assert config.defaults.signer == "ephemeral"


def test_a_configuration_that_exists_is_never_touched(tmp_path: Path) -> None:
    file, state = tmp_path / "verilayer.yaml", tmp_path / "state"
    file.write_text("mine")
    with first_start.exclusive(state):
        assert not first_start.write_configuration(file, state, "http://127.0.0.1:5000")
    assert file.read_text() == "mine"


def test_a_state_folder_serves_one_service(tmp_path: Path) -> None:
    with (
        first_start.exclusive(tmp_path / "state"),
        pytest.raises(ConfigurationError, match="another verilayer up"),
        first_start.exclusive(tmp_path / "state"),
    ):
        pass
    with first_start.exclusive(tmp_path / "state"):
        pass


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    first = first_start.webhook_secret(tmp_path).read_text()
    assert first_start.webhook_secret(tmp_path).read_text() == first


def test_a_token_that_the_configuration_no_longer_knows_is_not_offered(tmp_path: Path) -> None:
    first_start.write_configuration(tmp_path / "c.yaml", tmp_path, "http://127.0.0.1:5000")
    (tmp_path / "admin-token").write_text("another")
    config = load_config(tmp_path / "c.yaml", {})
    assert first_start.configured_token(config, tmp_path) is None
