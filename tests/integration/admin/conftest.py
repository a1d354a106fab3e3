"""The real web process over a real Redis, with one token per role."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.queue import CeleryJobQueue
from tests.support.redis_server import RedisServer, redis_server
from tests.support.webhook_service import webhook_service

TOKENS = {role: f"token-of-{role}" for role in ("read", "operate", "admin")}

CONFIG = """
registries:
  - id: local
    url: http://127.0.0.1:9
    allow_private_addresses: true
    limits: {attempts: 1, connect_timeout: 1}
    webhook: {dialect: distribution, header: X-Secret, secrets: [{value: correct-horse-battery}]}
rules:
  - {name: team, repositories: ["team/*"]}
admin:
  requests_per_minute: 100000
  tokens:
""" + "".join(
    f"    - {{name: {role}, role: {role}, sha256: {hashlib.sha256(token.encode()).hexdigest()}}}\n"
    for role, token in TOKENS.items()
)


@dataclass(frozen=True, slots=True)
class AdminStand:
    """A running API and direct access to its ledger."""

    url: str
    server: RedisServer
    redis: redis.Redis
    engine: JobEngine

    def client(self, role: str = "admin") -> httpx.Client:
        headers = {"Authorization": f"Bearer {TOKENS[role]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminStand]:
    folder: Path = tmp_path_factory.mktemp("admin")
    with redis_server(folder) as server, webhook_service(folder, CONFIG, server) as service:
        connection = connect(server.url)
        engine = JobEngine.over(connection, CeleryJobQueue.connect(server.url))
        yield AdminStand(service.url, server, connection, engine)
        connection.close()
