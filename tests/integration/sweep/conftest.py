"""A bench to sweep on; each test module says which registries it runs against (``server``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Identity, identity
from tests.support.redis_server import RedisServer, redis_server
from tests.support.registries import RunningRegistry
from tests.support.sweep_bench import Bench


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def current() -> Identity:
    return identity("current")


@pytest.fixture
def bench(
    server: RunningRegistry, redis: RedisServer, tmp_path: Path, current: Identity
) -> Iterator[Bench]:
    made = Bench(server, redis, tmp_path, current)
    yield made
    made.registry.close()
    made.client.close()
