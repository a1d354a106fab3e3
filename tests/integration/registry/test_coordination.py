"""Limits and locks through a real Redis, and writers that race for one fallback tag."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.errors import BrokerUnavailable, RateLimited, Unavailable
from app.registry import coordination
from app.registry.coordination import LocalCoordination, RedisCoordination
from app.registry.protocols import RateLimit
from tests.support.ports import free_port
from tests.support.racing import race
from tests.support.registries import RunningRegistry

pytestmark = pytest.mark.real


class Naps(list[float]):
    """Records waits instead of sleeping through them."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture(params=["local", "redis"])
def made(request: pytest.FixtureRequest, shared_redis: redis.Redis, repository: str) -> Any:
    """A coordination of each kind, and its naps."""
    naps = Naps()
    if request.param == "local":
        return LocalCoordination(sleep=naps), naps
    return RedisCoordination(shared_redis, prefix=repository, sleep=naps), naps


def test_a_burst_passes_and_the_rest_queues(made: Any) -> None:
    shared, naps = made
    limit = RateLimit(per_second=2, burst=3)
    for _ in range(3):
        shared.throttle("host", limit=limit)
    assert naps == []
    for _ in range(3):
        shared.throttle("host", limit=limit)
    assert naps == pytest.approx([0.5, 1.0, 1.5], abs=0.4)
    shared.throttle("other", limit=limit)
    assert len(naps) == 3


def test_a_penalty_makes_everyone_wait(made: Any) -> None:
    shared, naps = made
    shared.penalise("host", 30)
    shared.penalise("host", 5)
    shared.throttle("host")
    assert naps == pytest.approx([30], abs=1)


def test_a_wait_that_is_too_long_is_refused_and_costs_nothing(made: Any) -> None:
    shared, naps = made
    shared.penalise("host", 500)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            shared.throttle("host")
        assert caught.value.retry_after == pytest.approx(500, abs=1)
    assert naps == []


def test_a_lock_excludes(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, _ = made
    monkeypatch.setattr(coordination, "LOCK_WAIT", 0.1)
    refused: list[Exception] = []

    def other() -> None:
        try:
            with shared.exclusive("x"):
                pass
        except Unavailable as error:
            refused.append(error)

    with shared.exclusive("x"), shared.exclusive("y"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with shared.exclusive("x"):
        pass


def test_a_lock_is_renewed_while_it_is_held(
    shared_redis: redis.Redis, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordination, "LOCK_LEASE", 3)
    shared, key = RedisCoordination(shared_redis, prefix=repository), f"{repository}lock:x"
    with shared.exclusive("x"):
        left = shared_redis.pttl(key)
        deadline = time.monotonic() + 30
        while (now := shared_redis.pttl(key)) <= left:
            assert time.monotonic() < deadline, "the lock was never renewed"
            left = now
            time.sleep(0.05)
    assert not shared_redis.exists(key)


def test_no_redis_is_a_retryable_error_of_its_own() -> None:
    shared = RedisCoordination(redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0)))
    with pytest.raises(BrokerUnavailable):
        shared.throttle("host")
    with pytest.raises(BrokerUnavailable), shared.exclusive("x"):
        pass


def test_racing_processes_lose_no_referrer_through_redis(
    debian: RunningRegistry, repository: str, shared_redis: redis.Redis
) -> None:
    port = shared_redis.connection_pool.connection_kwargs["port"]
    url = f"redis://127.0.0.1:{port}/0"
    assert race(debian, repository, racers=6, rounds=4, redis_url=url) == [(6, 6)] * 4


def test_racing_processes_lose_no_referrer_through_lock_files(
    debian: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    assert race(debian, repository, racers=4, rounds=3, directory=tmp_path) == [(4, 4)] * 3
