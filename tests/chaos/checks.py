"""What must hold when the chaos is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.jobs.state import JobState
from app.oci.digest import Digest
from app.oci.manifest import Manifest, parse_manifest
from tests.support.images import PushedImage
from tests.support.pipeline import BUNDLE, Pipeline
from workers.artifacts.reading import read_bundle
from workers.layers.building import build_layer
from workers.layers.built import LayerOptions
from workers.layers.spool import Spool


@dataclass(frozen=True, slots=True)
class Expected:
    """Images that were pushed and where to, and event ids that were answered with 202."""

    images: Sequence[tuple[PushedImage, str]]
    ids: set[str]


def checked(service: Pipeline, expected: Expected, folder: Path) -> Iterator[str]:
    """Yield everything that is wrong, in words."""
    yield from _events(service, expected)
    yield from _jobs(service)
    yield from _bundles(service, expected, Spool(folder / "check-spool", 1 << 40))
    service.stop_workers()
    yield from _scratch(folder / "state" / "spool")
    yield from _left_in_redis(service)


def _events(service: Pipeline, expected: Expected) -> Iterator[str]:
    counts = service.engine.events.counts()
    if counts.pending or counts.claimed:
        yield f"{counts.pending} events pending, {counts.claimed} claimed"
    if counts.accepted != sum(counts.settled.values()):
        yield f"{counts.accepted} events accepted, {sum(counts.settled.values())} settled"
    odd = {name: n for name, n in counts.settled.items() if name in ("failed", "dead")}
    if odd:
        yield f"events without a good end: {odd}"
    known = {
        name.rsplit(":", 1)[1]
        for name in service.engine.redis.scan_iter("{verilayer}:seen:*", count=5000)
    }
    lost = {name for name in expected.ids if name not in known}
    if lost:
        yield f"{len(lost)} events answered with 202 are unknown, such as {min(lost)}"


def _jobs(service: Pipeline) -> Iterator[str]:
    for state in JobState:
        number = service.engine.ledger.store.count(state)
        if number and state is not JobState.SUCCEEDED:
            (sample, *_) = service.engine.ledger.listing(state=state, limit=1).items
            yield f"{number} jobs are {state}, such as {sample.id}: {sample.failure}"


def _bundles(service: Pipeline, expected: Expected, spool: Spool) -> Iterator[str]:
    built: dict[Digest, tuple[Digest, Digest, str]] = {}
    for image, repository in expected.images:
        found = service.registry.list_referrers(repository, image.digest, BUNDLE)
        if len(found) != 1:
            yield f"{repository}@{image.digest} has {len(found)} bundles"
            continue
        manifest = parse_manifest(service.registry.fetch_manifest(repository, found[0].digest))
        assert isinstance(manifest, Manifest)
        claimed = read_bundle(manifest, "containerd-erofs").layers
        for layer in image.layers:
            if layer.digest not in built:
                built[layer.digest] = _build(image, layer.digest, spool)
            one = claimed.get(layer.digest)
            if one is None:
                yield f"{repository}@{image.digest}: {layer.digest} is not in the bundle"
                continue
            parts = (one.parts["index"].digest, one.parts["tree"].digest, one.facts["root_hash"])
            if parts != built[layer.digest]:
                yield f"{repository}@{image.digest}: {layer.digest} differs from a build"
            for part in one.parts.values():
                if not service.registry.blob_exists(repository, part.digest):
                    yield f"{repository}@{image.digest}: {part.digest} is missing"


def _build(image: PushedImage, layer: Digest, spool: Spool) -> tuple[Digest, Digest, str]:
    with build_layer(
        [image.blobs[layer]],
        compression="gzip",
        options=LayerOptions(layer_digest=layer),
        spool=spool,
    ) as built:
        return built.facts.index_digest, built.facts.tree_digest, built.facts.root_hash


def _scratch(spool: Path) -> Iterator[str]:
    Spool(spool, 1 << 40).reserved()
    assert spool.is_dir(), "the service had its spool elsewhere"
    left = [path.name for path in spool.glob("*") if path.name != ".lock"]
    if left:
        yield f"scratch files are left: {left}"


def _left_in_redis(service: Pipeline) -> Iterator[str]:
    redis = service.engine.redis
    patterns = (
        "verilayer:registry:lock:*", "{verilayer}:leases", "{verilayer}:tokens",
        "{verilayer}:running:*", "{verilayer}:cancelling", "{verilayer}:parked",
        "{verilayer}:waiting:*", "{verilayer}:waiters:*", "{verilayer}:ready:*",
        "{verilayer}:delayed", "{verilayer}:strikes", "{verilayer}:progress",
    )  # fmt: skip
    # Locks of killed workers end by themselves.
    deadline = time.monotonic() + 35
    while True:
        left = [str(name) for one in patterns for name in redis.scan_iter(one, count=5000)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(1)
    if left:
        yield f"left in Redis: {left[:10]}"
