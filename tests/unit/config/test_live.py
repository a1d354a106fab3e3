from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import live
from app.config.file import load_config
from app.config.live import Live
from app.config.model import ServiceConfig
from app.errors import ConfigurationError

GOOD = "rules:\n  - name: {}\n"


def opened(path: Path) -> Live[ServiceConfig]:
    return Live(path, lambda file: load_config(file, {}))


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_file_replaces_the_old_and_a_bad_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD.format("one"))
    current = opened(path)
    assert not current.poll()
    path.write_text(GOOD.format("two!"))
    assert current.poll()
    assert current.current.rules[0].name == "two!"
    path.write_text("rules: [")
    assert not current.poll()
    assert current.current.rules[0].name == "two!"
    assert "c.yaml:1:" in str(current.problem)
    assert not current.poll()  # The same bad file is not read again and again.
    path.unlink()
    assert not current.poll()
    assert current.current.rules[0].name == "two!"
    path.write_text(GOOD.format("three"))
    assert current.poll()
    assert current.problem is None


def test_the_first_file_must_be_good(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        opened(tmp_path / "absent.yaml")


def test_the_watch_follows_swapped_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes updates a mounted file by swapping a symbolic link above it."""
    monkeypatch.setattr(live, "INTERVAL", 0.02)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.yaml").write_text(GOOD.format(name))
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "one")
    current = opened(link / "c.yaml")
    current.start()
    try:
        (tmp_path / "new").symlink_to(tmp_path / "two")
        os.replace(tmp_path / "new", link)
        wait(lambda: current.current.rules[0].name == "two")
    finally:
        current.stop()
    assert "config-watch" not in {thread.name for thread in threading.enumerate()}


def test_a_request_reloads_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 3600)
    path = tmp_path / "c.yaml"
    path.write_text(GOOD.format("one"))
    current = opened(path)
    current.start()
    try:
        path.write_text(GOOD.format("two"))
        current.request_reload()
        wait(lambda: current.current.rules[0].name == "two")
    finally:
        current.stop()
