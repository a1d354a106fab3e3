"""How long each unit of work took, from the ledger of a running ``verilayer up``."""

from __future__ import annotations

from pathlib import Path

from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.queue import CeleryJobQueue
from workers.supervisor import private_redis


def read(redis_folder: Path) -> dict[str, dict[str, float]]:
    """Seconds by phase, by ``image PLATFORM`` and ``layer DIGEST``."""
    url = private_redis.url_of(redis_folder)
    redis = connect(url)
    try:
        engine = JobEngine.over(redis, CeleryJobQueue.connect(url))
        found: dict[str, dict[str, float]] = {}
        for job in engine.ledger.listing().items:
            found[f"image {job.platform}"] = job.timings
            for layer in job.layers:
                build = engine.builds.get(layer.build)
                if build is not None:
                    found[f"layer {layer.digest[7:19]}"] = build.timings
        return found
    finally:
        redis.close()
