"""Servers that the tests of one process share; every test uses repositories of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.redis_server import redis_server
from tests.support.registries import FLAVOURS, RunningRegistry, docker_registry


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningRegistry]]:
    """Both real registries, without authentication."""
    root = tmp_path_factory.mktemp("registries")
    with docker_registry(root, "debian") as debian, docker_registry(root, "v3") as v3:
        yield {"debian": debian, "v3": v3}


@pytest.fixture(scope="session")
def debian(servers: dict[str, RunningRegistry]) -> RunningRegistry:
    """Debian's docker-registry 2.8."""
    return servers["debian"]


@pytest.fixture(params=FLAVOURS)
def server(servers: dict[str, RunningRegistry], request: pytest.FixtureRequest) -> RunningRegistry:
    """Each registry in turn."""
    return servers[request.param]


@pytest.fixture
def repository() -> str:
    """A repository that nobody else uses."""
    return f"team/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """A real Redis for coordination."""
    directory: Path = tmp_path_factory.mktemp("redis")
    with redis_server(directory) as running, redis.Redis.from_url(running.url) as client:
        yield client
