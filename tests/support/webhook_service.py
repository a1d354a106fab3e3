"""The real web process, by uvicorn, over a Redis of the test's choice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.processes import running
from tests.support.redis_server import RedisServer

SECRET = "correct-horse-battery"
HEADER = "X-Verilayer-Secret"


@dataclass(frozen=True, slots=True)
class WebhookService:
    """Where it listens and what it wrote."""

    port: int
    log: Path
    config: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def webhook_service(
    directory: Path,
    config: str,
    server: RedisServer,
    environment: dict[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[WebhookService]:
    """Run the API with ``config`` until the block ends; ``options`` are uvicorn's."""
    port = free_port()
    path = directory / "verilayer.yaml"
    path.write_text(config)
    log = directory / "api.log"
    with running(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", "app.main:from_environment"),
            *("--port", str(port), "--no-proxy-headers", *options),
        ],
        f"http://127.0.0.1:{port}/healthz",
        log,
        {
            "VERILAYER_CONFIG_FILE": str(path),
            "VERILAYER_REDIS_URL": server.url,
            "VERILAYER_STATE_DIR": str(directory / "state"),
            **(environment or {}),
        },
        seconds=90,
    ) as process:
        yield WebhookService(port, log, path, process)


def pending_events(server: RedisServer) -> list[dict[str, object]]:
    """Event records that wait in the intake, oldest first."""
    with redis.Redis(port=server.port, decode_responses=True) as client:
        lines: list[str] = client.lrange("{verilayer}:intake:pending", 0, -1)
    return [json.loads(line.partition(" ")[2]) for line in lines]
