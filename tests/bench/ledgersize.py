"""How much Redis memory a job takes, and how fast jobs pass through the ledger.

::

    python -m tests.bench.ledgersize --jobs 20000
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.messages import Lane
from app.jobs.records import AttachedBundle, Job, JobKey, JobLayer
from app.oci.digest import Digest
from tests.support.redis_server import redis_server

LAYERS = 6


class _NoWakeUps:
    def drain_intake(self) -> None:
        """Nobody listens."""

    def run_next(self, lane: Lane, count: int = 1) -> None:
        """Nobody listens."""

    def verify(self, verification: str) -> None:
        """Nobody verifies."""

    def waiting(self, lane: Lane) -> int:
        """Nothing waits."""
        return 0


def run(folder: Path, jobs: int) -> dict[str, Any]:
    """Take ``jobs`` jobs through their life and see what Redis needs for them afterwards."""
    with redis_server(folder) as server:
        redis = connect(server.url)
        engine = JobEngine.over(redis, _NoWakeUps())
        before = _used(redis)
        started = time.perf_counter()
        for number in range(jobs):
            _life(engine, number)
        seconds = time.perf_counter() - started
        each = (_used(redis) - before) / jobs
        return {
            "jobs": jobs,
            "layers_per_job": LAYERS,
            "bytes_per_finished_job": round(each),
            "gigabytes_per_million_jobs": round(each / 1000, 2),
            "lives_per_second": round(jobs / seconds),
        }


def _life(engine: JobEngine, number: int) -> None:
    digest = Digest.of(b"image %d" % number)
    repository = f"team/application-{number % 500}"
    profiles = ("containerd-erofs",)
    key = JobKey(registry="main", repository=repository, digest=digest, profiles=profiles)
    now = time.time()
    job = Job(
        id=key.id,
        registry="main",
        repository=repository,
        digest=digest,
        profiles=profiles,
        tag="v1.2.3",
        platform="linux/amd64",
        parent=digest,
        rule="everything",
        signer="production",
        builder_version="1.9.3",
        created=now,
        updated=now,
        submitted=now,
        received=now,
    )
    engine.ledger.submit(job)
    layers = [
        JobLayer(digest=Digest.of(b"%d/%d" % (number, n)), size=1 << 20, build=f"b{n:024}")
        for n in range(LAYERS)
    ]
    timings = {"plan": 0.1234, "layers": 1.2345, "sign": 0.0123, "attach": 0.2345}
    for last in (False, True):
        lease = engine.schedule.claim(Lane.IMAGE, {"*": (8, 8)})
        assert lease is not None
        engine.ledger.begin(lease)
        if not last:
            engine.ledger.park(lease, layers, timings=timings)
            continue
        done = [layer.model_copy(update={"outcome": "built"}) for layer in layers]
        bundle = AttachedBundle(
            profile=profiles[0],
            digest=digest,
            artifact_type="application/vnd.containerd.erofs.dmverity.v1",
            pushed=True,
        )
        engine.ledger.succeed(lease, [bundle], done, timings)


def _used(redis: Any) -> int:
    return int(redis.info("memory")["used_memory"])


def main() -> int:
    """Run from the command line; prints the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verilayer-ledger-") as folder:
        print(json.dumps(run(Path(folder), arguments.jobs), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
