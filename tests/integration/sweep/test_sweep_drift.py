"""Sweeps verify what bundles refer to: real registry, real Redis, bundles tampered with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.catalog.profiles import PROFILES, ProfileName
from app.catalog.vocabulary import VerifyDepth
from app.jobs.requests import Verifications
from app.oci.digest import Digest
from app.oci.manifest import RawManifest, encode
from tests.support.certificates import Identity, identity, rsa_key
from tests.support.published import Image, attach, convert, pem_signer, push, push_image, signed_by
from tests.support.registries import RunningRegistry, docker_registry
from tests.support.sample_layer import make_tar
from tests.support.sweep_bench import Bench
from tests.support.webhook_service import pending_events
from workers.artifacts.compose import layer_manifests
from workers.layers.building import build_layer
from workers.layers.built import LayerOptions
from workers.layers.spool import Spool
from workers.sweep.drift import DriftCheck
from workers.sweep.opening import open_drift_check
from workers.sweep.progress import Progress
from workers.sweep.sweep import Report

pytestmark = pytest.mark.real

INDEX = "application/vnd.containerd.erofs.metadata.v1"
BUNDLE = "application/vnd.containerd.erofs.dmverity.v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def published(
    bench: Bench, repository: str, who: Identity, profile: ProfileName = "containerd-erofs"
) -> Image:
    """An image of two layers with its bundle, signed by the bound key."""
    image = push_image(bench.registry, repository)
    signer = pem_signer(bench.folder / "keys", who)
    layers = convert(bench.registry, image, bench.folder, signer)
    attach(bench.registry, image, layers, [profile])
    return image


def check(
    bench: Bench, depth: VerifyDepth = "shallow", *, every: int = 1, spool: int = 1 << 30
) -> DriftCheck:
    made = open_drift_check(
        bench.config,
        Spool(bench.folder / "drift", spool),
        Verifications(bench.client),
        depth=depth,
    )
    assert made is not None
    made.every = every
    return made


def sweep(bench: Bench, repository: str, drift: DriftCheck | None) -> tuple[Report, Progress]:
    found: list[Report] = []
    one = bench.sweep(drift=drift, report=found.append)
    progress = one.run(bench.store, repositories=[repository])
    (report,) = found
    return report, progress


def exchange_indexes(bench: Bench, image: Image) -> RawManifest:
    """Attach the image's bundle with the indexes of its two layers exchanged; return ours."""
    repository, subject = image.repository, image.manifest.digest
    (found,) = bench.registry.list_referrers(repository, subject, BUNDLE)
    ours = bench.registry.fetch_manifest(repository, found.digest)
    document = json.loads(ours.data)
    one, two = (entry for entry in document["layers"] if entry["mediaType"] == INDEX)
    for field in ("digest", "size"):
        one[field], two[field] = two[field], one[field]
    bench.registry.detach(repository, subject, found.digest)
    bench.registry.attach(repository, RawManifest(ours.media_type, encode(document)))
    return ours


def last(bench: Bench, image: Image) -> bool | None:
    record = Verifications(bench.client).latest("main", image.repository, image.manifest.digest)
    return record.ok if record else None


def test_a_whole_image_is_verified_and_left_alone(bench: Bench, current: Identity) -> None:
    image = published(bench, "drift/whole", current)
    for depth in ("shallow", "deep"):
        report, progress = sweep(bench, "drift/whole", check(bench, depth))
        assert (report.finding.kind, report.finding.reason) == ("complete", f"verified ({depth})")
        assert progress.counts == {"tags": 1, "complete": 1, "ignored": 1}
    assert pending_events(bench.redis) == []
    assert last(bench, image) is None  # Successes are counted, not kept.


def test_exchanged_indexes_are_found_and_made_anew(bench: Bench, current: Identity) -> None:
    image = published(bench, "drift/exchanged", current)
    ours = exchange_indexes(bench, image)
    report, _ = sweep(bench, "drift/exchanged", None)
    assert report.finding.kind == "complete"  # Every blob is there and every signature good.
    report, progress = sweep(bench, "drift/exchanged", check(bench))
    assert report.finding.kind == "drifted"
    assert str(image.layers[0][0].digest) in report.finding.reason
    assert progress.counts == {"tags": 1, "drifted": 1, "ignored": 1}
    (record,) = pending_events(bench.redis)
    assert record["options"]["force"] is True  # type: ignore[index]
    assert last(bench, image) is False
    # The good bundle comes back: the record of the failure is superseded.
    subject = image.manifest.digest
    (bad,) = bench.registry.list_referrers("drift/exchanged", subject, BUNDLE)
    bench.registry.detach("drift/exchanged", subject, bad.digest)
    bench.registry.attach("drift/exchanged", ours)
    assert sweep(bench, "drift/exchanged", check(bench))[0].finding.kind == "complete"
    assert last(bench, image) is True


def test_a_dry_run_tells_and_keeps_nothing(bench: Bench, current: Identity) -> None:
    image = published(bench, "drift/dry", current)
    exchange_indexes(bench, image)
    drift, found = check(bench), list[Report]()
    drift.records = None
    bench.sweep(drift=drift, dry_run=True, report=found.append).run(
        bench.store, repositories=["drift/dry"]
    )
    assert [each.finding.kind for each in found] == ["drifted"]
    assert pending_events(bench.redis) == []
    assert last(bench, image) is None


def test_only_a_rebuild_shows_a_consistent_bundle_of_another_tar(
    bench: Bench, current: Identity
) -> None:
    image = published(bench, "drift/other", current)
    signer = pem_signer(bench.folder / "keys", current)
    layers = convert(bench.registry, image, bench.folder, signer)
    blob = image.layers[0][0]
    with build_layer(
        [make_tar(files=12, seed=99)],
        compression="",
        options=LayerOptions(layer_digest=blob.digest),
        spool=Spool(bench.folder / "spool", 1 << 30),
    ) as built:
        push(bench.registry, "drift/other", built.device_table.index)
        with built.device_table.tree.open() as tree:
            push(bench.registry, "drift/other", tree.read())
        layers[0] = signed_by(signer, blob, replace(built.facts, layer_digest=blob.digest))
    subject = image.manifest.digest
    (ours,) = bench.registry.list_referrers("drift/other", subject, BUNDLE)
    bench.registry.detach("drift/other", subject, ours.digest)
    attach(bench.registry, image, layers, ["containerd-erofs"])
    assert sweep(bench, "drift/other", check(bench))[0].finding.kind == "complete"
    report, _ = sweep(bench, "drift/other", check(bench, "deep"))
    assert report.finding.kind == "drifted"
    assert f"layer {blob.digest}" in report.finding.reason
    assert "a rebuild" in report.finding.reason


def test_what_cannot_be_verified_now_is_not_called_drifted(bench: Bench, current: Identity) -> None:
    image = published(bench, "drift/unable", current)
    exhausted = check(bench, "deep", spool=1)
    assert sweep(bench, "drift/unable", exhausted)[0].finding.kind == "complete"
    late = check(bench, "deep")
    late.patience = -1.0
    assert sweep(bench, "drift/unable", late)[0].finding.kind == "complete"
    assert pending_events(bench.redis) == []
    assert last(bench, image) is None


def test_bundles_that_the_rule_does_not_want_are_not_judged(
    bench: Bench, current: Identity
) -> None:
    image = published(bench, "drift/foreign", current)
    stranger = pem_signer(bench.folder / "other", identity("stranger", key=rsa_key(number=1)))
    layers = convert(bench.registry, image, bench.folder, stranger)
    attach(bench.registry, image, layers, ["verilayer", "rfc-layer"])
    assert sweep(bench, "drift/foreign", check(bench))[0].finding.kind == "complete"
    bench.config = bench.configured(current, profiles=["containerd-erofs", "verilayer"])
    assert sweep(bench, "drift/foreign", check(bench))[0].finding.kind == "stale"


def test_every_image_has_its_turn_once(bench: Bench) -> None:
    drift = check(bench, every=7)
    for number in range(200):
        digest = Digest.of(bytes([number]))
        assert sum(drift.due(digest, turn) for turn in range(50, 57)) == 1
    shares = [
        sum(drift.due(Digest.of(bytes([number])), turn) for number in range(200))
        for turn in range(7)
    ]
    assert min(shares) > 10


def test_a_sweep_of_everything_moves_the_turn_on(bench: Bench, current: Identity) -> None:
    published(bench, "drift/turn", current)
    numbers = [bench.sweep().run(bench.store).number for _ in range(3)]
    assert numbers == [1, 2, 3]
    assert bench.sweep().run(bench.store, repositories=["drift/turn"]).number == 3
    assert bench.sweep().run(bench.store).number == 4


GRAPH = [
    (shape.role, shape.artifact_type)
    for shape in PROFILES["rfc-layer"].manifests
    if shape.subject == "layer-manifest"
]


@pytest.mark.parametrize(("role", "kind"), GRAPH)
def test_the_graph_of_every_layer_is_looked_at(
    bench: Bench, current: Identity, role: str, kind: str
) -> None:
    repository = f"drift/graph-{role}"
    bench.config = bench.configured(current, profiles=["rfc-layer"])
    image = push_image(bench.registry, repository)
    assert sweep(bench, repository, None)[0].finding.kind == "missing"
    image = published(bench, repository, current, "rfc-layer")
    for drift in (None, check(bench)):
        assert sweep(bench, repository, drift)[0].finding.kind == "complete"
    layer = image.layers[1][0]
    subject = layer_manifests(layer)["rfc-layer"].digest
    (gone,) = bench.registry.list_referrers(repository, subject, kind)
    bench.registry.detach(repository, subject, gone.digest)
    report, _ = sweep(bench, repository, None)
    assert report.finding.kind == "missing"
    assert report.finding.reason == f"rfc-layer: no {role} manifest of layer {layer.digest}"


def test_a_graph_of_another_key_is_stale(bench: Bench, current: Identity) -> None:
    bench.config = bench.configured(current, profiles=["rfc-layer"])
    published(bench, "drift/graph-key", identity("old", key=rsa_key(number=2)), "rfc-layer")
    report, _ = sweep(bench, "drift/graph-key", None)
    assert report.finding.kind == "stale"
    assert "not signed by the current key" in report.finding.reason
