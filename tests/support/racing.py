"""Processes that race to attach to one subject.

``python -m tests.support.racing`` starts them, as forks that have everything imported: its
arguments are registry URL, Redis URL or ``-``, lock directory or ``-``, repository, subject media
type, digest and size, racers, rounds. A line on standard input starts a round, a line answers it.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import redis

from app.config.model import RegistryConfig
from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import RawManifest, encode
from app.registry.coordination import LocalCoordination, RedisCoordination
from app.registry.factory import open_registry
from app.registry.protocols import Coordination
from tests.support.artifacts import push_image
from tests.support.registries import RunningRegistry

ROOT = Path(__file__).parents[2]
#: Seconds a round may take on a busy machine.
PATIENCE = 300.0


def racer_manifest(subject: Descriptor, racer: int, round_: int) -> RawManifest:
    """Return what one racer attaches in one round."""
    empty = {"mediaType": mediatypes.OCI_EMPTY, "digest": Digest.of(b"{}"), "size": 2}
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "artifactType": f"application/vnd.test.racer{racer}",
        "config": empty,
        "layers": [],
        "subject": subject.wire(),
        "annotations": {"round": str(round_)},
    }
    return RawManifest(mediatypes.OCI_MANIFEST, encode(document))


def _racer(arguments: list[str], racer: int, rounds: int, start: Barrier, end: Barrier) -> None:
    url, redis_url, directory, repository, media_type, digest, size = arguments
    coordination: Coordination = LocalCoordination(Path(directory))
    if redis_url != "-":
        coordination = RedisCoordination(redis.Redis.from_url(redis_url))
    config = {
        "id": "main",
        "url": url,
        "allow_private_addresses": True,
        "limits": {"requests_per_second": 10_000, "burst": 10_000},
    }
    registry = open_registry(RegistryConfig.model_validate(config), coordination)
    subject = Descriptor(media_type=media_type, digest=Digest(digest), size=int(size))
    for round_ in range(rounds):
        start.wait(PATIENCE)
        registry.attach(repository, racer_manifest(subject, racer, round_))
        end.wait(PATIENCE)


def main(arguments: list[str]) -> None:
    """Run all racers, round by round."""
    *fixed, racers, rounds = arguments
    context = multiprocessing.get_context("fork")
    start, end = context.Barrier(int(racers) + 1), context.Barrier(int(racers) + 1)
    processes = [
        context.Process(target=_racer, args=(fixed, racer, int(rounds), start, end), daemon=True)
        for racer in range(int(racers))
    ]
    for process in processes:
        process.start()
    for _ in range(int(rounds)):
        sys.stdin.readline()
        start.wait(PATIENCE)
        end.wait(PATIENCE)
        print("done", flush=True)


def race(
    server: RunningRegistry,
    repository: str,
    *,
    racers: int,
    rounds: int,
    redis_url: str = "-",
    directory: Path | None = None,
) -> list[tuple[int, int]]:
    """Let processes race; return (expected, found) for each round.

    In each round every racer attaches one referrer to the same subject; they are taken away before
    the next round.
    """
    registry = server.open()
    image = push_image(registry, repository, "v1", b"raced for")
    arguments = [
        *(server.url, redis_url, str(directory or "-"), repository),
        *(image.media_type, image.digest, str(len(image.data)), str(racers), str(rounds)),
    ]
    command = [sys.executable, "-m", "tests.support.racing", *arguments]
    results = []
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        for round_ in range(rounds):
            launcher.stdin.write("go\n")
            launcher.stdin.flush()
            assert launcher.stdout.readline() == "done\n", "a racer died"
            expected = {
                racer_manifest(image.descriptor, racer, round_).digest for racer in range(racers)
            }
            found = {e.digest for e in registry.list_referrers(repository, image.digest)}
            results.append((len(expected), len(expected & found)))
            for digest in found:
                registry.detach(repository, image.digest, digest)
    registry.close()
    return results


if __name__ == "__main__":
    main(sys.argv[1:])
