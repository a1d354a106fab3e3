"""Redis URLs."""

from __future__ import annotations

import pytest
from redis.sentinel import SentinelConnectionPool

from app.errors import ConfigurationError
from app.jobs.connection import connect


def test_time_limits_are_always_set() -> None:
    options = connect("redis://127.0.0.1:1/3").connection_pool.connection_kwargs
    assert options["socket_timeout"] == 2.0
    assert options["socket_connect_timeout"] == 1.0
    assert options["db"] == 3


def test_sentinels_are_asked_for_the_master() -> None:
    client = connect("sentinel://:p%40ss@one:26379,two:26380/main/2")
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "main"
    assert pool.connection_kwargs["password"] == "p@ss"
    assert pool.connection_kwargs["db"] == 2


@pytest.mark.parametrize("url", ["http://x", "sentinel://one/main", "sentinel://one:x/main"])
def test_malformed_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL is malformed"):
        connect(url)
