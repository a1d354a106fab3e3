from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import Settings


def test_a_setting_may_be_a_mounted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verilayer_redis_url").write_text("redis://:hunter2@redis:6379/0\n")
    monkeypatch.delenv("VERILAYER_REDIS_URL", raising=False)
    monkeypatch.setenv("VERILAYER_SECRETS_DIR", str(tmp_path))
    settings = Settings()
    assert settings.redis_url.get_secret_value() == "redis://:hunter2@redis:6379/0"
    assert "hunter2" not in repr(settings)


def test_the_environment_goes_before_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verilayer_redis_url").write_text("redis://file")
    monkeypatch.setenv("VERILAYER_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("VERILAYER_REDIS_URL", "redis://environment")
    assert Settings().redis_url.get_secret_value() == "redis://environment"


def test_without_a_folder_no_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERILAYER_SECRETS_DIR", raising=False)
    monkeypatch.delenv("VERILAYER_REDIS_URL", raising=False)
    assert Settings().redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
