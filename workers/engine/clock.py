"""The reaper's clock: a thread in every worker, so that no single process keeps the time.

Celery's beat is one process; killed alone, it stays dead while its worker lives on. Here every
worker tries to take the turn of each period and whoever gets it sends the message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from redis import Redis
from redis.exceptions import RedisError

from app.errors import BrokerUnavailable
from app.jobs.keys import key

log = structlog.get_logger(__name__)


class ReaperClock:
    """Calls ``send`` once per ``period`` seconds over all processes of one Redis."""

    def __init__(self, redis: Redis, period: float, send: Callable[[], None]) -> None:
        self._redis = redis
        self._period = period
        self._send = send
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper-clock", daemon=True)

    def start(self) -> None:
        """Start ticking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop ticking."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._period / 2):
            try:
                turn = self._redis.set(key("clock"), 1, nx=True, px=int(self._period * 1000))
                if turn:
                    self._send()
            except (RedisError, BrokerUnavailable) as error:
                log.warning("clock.missed", error=str(error))
