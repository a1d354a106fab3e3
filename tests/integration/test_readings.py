"""What /metrics tells about the ledger, over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import BrokerUnavailable
from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.messages import Lane
from app.jobs.readings import readings
from app.jobs.records import Job
from app.observability import exposition
from app.oci.digest import Digest
from tests.support.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.real


class NoWorkers:
    """A queue that nobody listens to."""

    def drain_intake(self) -> None:
        pass

    def run_next(self, lane: Lane, count: int = 1) -> None:
        pass

    def waiting(self, lane: Lane) -> int:
        """Nothing waits."""
        return 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


def wanted(number: int, at: float) -> Job:
    return Job(
        id="",
        registry="main",
        repository="team/app",
        digest=Digest.of(str(number).encode()),
        profiles=("containerd-erofs",),
        created=at,
        updated=at,
        submitted=at,
    )


def test_the_exposition_follows_the_ledger(server: RedisServer) -> None:
    clock = [1000.0]
    engine = JobEngine.over(connect(server.url), NoWorkers(), now=lambda: clock[0])
    registry = exposition.exposition(lambda: readings(engine))
    for number in range(3):
        job = wanted(number, clock[0])
        engine.ledger.submit(job.model_copy(update={"id": job.key.id}))
        clock[0] += 10
    assert engine.schedule.claim(Lane.IMAGE, {"*": (8, 4)}) is not None
    text = exposition.render(registry).decode()
    assert 'verilayer_jobs{state="queued"} 3.0' in text  # until the claimant begins
    assert 'verilayer_queue_depth{queue="images"} 2.0' in text
    assert 'verilayer_queue_running{queue="images"} 1.0' in text
    assert 'verilayer_queue_oldest_age_seconds{queue="images"} 20.0' in text
    assert 'verilayer_queue_depth{queue="layers-large"} 0.0' in text
    assert "verilayer_dead_letters 0.0" in text
    assert "verilayer_readings_ok 1.0" in text


def test_without_redis_a_scrape_still_answers(server: RedisServer) -> None:
    engine = JobEngine.over(connect(server.url), NoWorkers())
    server.stop()
    with pytest.raises(BrokerUnavailable):
        list(readings(engine))
    text = exposition.render(exposition.exposition(lambda: readings(engine))).decode()
    assert "verilayer_readings_ok 0.0" in text
