"""Runs the engine's Lua scripts: every change of several keys is one script, thus atomic.

Scripts get the key prefix as their only key and build names themselves (all in one hash slot, see
``app.jobs.keys``). Redis failures become ``BrokerUnavailable``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError

from app.catalog.vocabulary import RANKS
from app.errors import BrokerUnavailable
from app.jobs.keys import PREFIX

Argument = str | bytes | int | float


@contextmanager
def broker_errors(doing: str) -> Iterator[None]:
    """Turn Redis errors into ``BrokerUnavailable`` that says what was being done."""
    try:
        yield
    except RedisError as error:
        raise BrokerUnavailable(
            f"Redis failed while {doing}: {error}", advice="check that Redis is up and not full"
        ) from error


class Scripts:
    """Scripts by file name under ``app/jobs/lua``, loaded once per client."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._loaded: dict[str, Script] = {}

    @cached_property
    def _prelude(self) -> str:
        text = files("app.jobs").joinpath("lua/prelude.lua").read_text()
        return f"local LAST_RANK = {RANKS - 1}\n" + text

    def run(self, name: str, *arguments: Argument) -> Any:
        """Run ``lua/NAME.lua``; raises ``BrokerUnavailable``."""
        script = self._loaded.get(name)
        if script is None:
            text = files("app.jobs").joinpath(f"lua/{name}.lua").read_text()
            script = self._redis.register_script(self._prelude + text)
            self._loaded[name] = script
        with broker_errors(f"running {name}"):
            return script(keys=[PREFIX], args=list(arguments))
