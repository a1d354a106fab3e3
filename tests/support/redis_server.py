"""A real Redis of its own for a test: on a free port, without persistence unless asked for."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.tools import require


@dataclass(slots=True)
class RedisServer:
    """A Redis that can be stopped and started again on the same port."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    #: Keep an append-only file, as production does: a kill then loses nothing.
    durable: bool = False

    @property
    def url(self) -> str:
        """URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                *(require("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"),
                *(
                    "--save",
                    "",
                    "--appendonly",
                    "yes" if self.durable else "no",
                    "--dir",
                    str(self.directory),
                ),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    assert time.monotonic() < deadline, "Redis does not start"
                    time.sleep(0.02)

    def stop(self) -> None:
        """Kill it; what it held is gone unless it is durable."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def redis_server(directory: Path, *, durable: bool = False) -> Iterator[RedisServer]:
    """Run a Redis until the block ends."""
    server = RedisServer(directory, free_port(), durable=durable)
    server.start()
    try:
        yield server
    finally:
        server.stop()
