"""What layer deduplication saves: many images over few bases, each in a repository of its own.

::

    python -m tests.bench.dedup --images 200

The whole service runs around a real registry. Printed are the layers that images list, those that
are distinct, those that were built, and how the others came by their index and tree.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from app.jobs.state import JobState
from tests.support.images import layer_tar, push_image
from tests.support.pipeline import pipeline

#: Layers of a base, files in each and the most bytes of a file.
BASE_LAYERS, BASE_FILES, BASE_SIZE = 4, 40, 20_000


def run(folder: Path, images: int, bases: int, workers: int) -> dict[str, Any]:
    """Push everything while the registry is paused, let go, and count at the end."""
    with pipeline(folder, workers=workers, environment={"VERILAYER_LOG_LEVEL": "WARNING"}) as one:
        one.engine.schedule.pause("main")
        stacks = [
            [layer_tar(100 * base + layer, BASE_FILES, BASE_SIZE) for layer in range(BASE_LAYERS)]
            for base in range(bases)
        ]
        pushed = [
            push_image(
                one.registry,
                f"bench/app-{number}",
                [*stacks[number % bases], layer_tar(100_000 + number, 4, 20_000)],
                tag="1",
            )
            for number in range(images)
        ]
        one.wait(
            lambda: one.engine.ledger.counts()[JobState.QUEUED] >= images, 120, "jobs are missing"
        )
        started = time.monotonic()
        one.engine.schedule.resume("main")
        one.engine.wake_all()
        one.wait_idle(900)
        seconds = time.monotonic() - started
        jobs = [one.jobs(f"bench/app-{number}")[0] for number in range(images)]
        sizes = {x.digest: x.size for image in pushed for x in image.layers}
        return {
            "images": images,
            "succeeded": sum(job.state is JobState.SUCCEEDED for job in jobs),
            "layers_listed": sum(len(image.layers) for image in pushed),
            "layers_distinct": len(sizes),
            "layers_built": one.builds_done(),
            "came_by": Counter(layer.outcome for job in jobs for layer in job.layers),
            "megabytes_listed": _mega(x.size for image in pushed for x in image.layers),
            "megabytes_downloaded": _mega(sizes.values()),
            "seconds": round(seconds, 1),
            "images_per_second": round(images / seconds, 1),
        }


def _mega(sizes: Any) -> float:
    return float(round(sum(sizes) / 1e6, 1))


def main() -> int:
    """Run from the command line; prints the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--bases", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verilayer-dedup-") as folder:
        figures = run(Path(folder), arguments.images, arguments.bases, arguments.workers)
    print(json.dumps(figures, indent=2))
    return 0 if figures["succeeded"] == arguments.images else 1


if __name__ == "__main__":
    sys.exit(main())
