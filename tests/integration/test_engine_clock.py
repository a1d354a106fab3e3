"""The reaper's clock on a real Redis."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from app.errors import BrokerUnavailable
from app.jobs.connection import connect
from tests.support.redis_server import redis_server
from workers.engine.clock import ReaperClock

pytestmark = pytest.mark.real


def test_many_workers_send_one_message_a_period_and_survive_a_broken_broker(tmp_path: Path) -> None:
    started = time.monotonic()
    sent: list[float] = []
    guard = threading.Lock()

    def send() -> None:
        with guard:
            sent.append(time.monotonic())
            if len(sent) == 2:
                raise BrokerUnavailable("away")

    with redis_server(tmp_path) as server:
        clocks = [ReaperClock(connect(server.url), 0.5, send) for _ in range(4)]
        for clock in clocks:
            clock.start()
        deadline = started + 30
        while len(sent) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        for clock in clocks:
            clock.stop()
    assert len(sent) >= 5
    # However slow the machine: a period has one turn.
    assert len(sent) <= (time.monotonic() - started) / 0.5 + 1
