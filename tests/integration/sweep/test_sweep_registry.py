"""Sweeps and prunes of a real registry, with the intake in a real Redis; no worker runs here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import BrokerUnavailable, ConfigurationError, NotFound
from app.jobs.connection import connect
from app.oci.descriptor import Descriptor
from app.oci.manifest import RawManifest
from app.registry.transfer.sources import BytesSource
from tests.support.artifacts import artifact, push_image
from tests.support.attached_bundle import attach, bundle_for, open_test_signer, signer_config
from tests.support.certificates import Identity, identity, rsa_key
from tests.support.registries import FLAVOURS, RunningRegistry, docker_registry
from tests.support.sample_layer import SampleLayer, convert, make_tar
from tests.support.sweep_bench import Bench
from tests.support.webhook_service import pending_events
from workers.sweep.progress import Progress, ProgressStore

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=FLAVOURS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry"), request.param) as running:
        yield running


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleLayer:
    return convert(make_tar(5), tmp_path_factory.mktemp("spool"))


def image(bench: Bench, repository: str, sample: SampleLayer, tag: str = "1") -> RawManifest:
    return push_image(bench.registry, repository, tag, sample.tar)


def test_a_lost_event_is_found_and_queued_below_every_push(
    bench: Bench, sample: SampleLayer
) -> None:
    pushed = image(bench, "sweep/lost", sample)
    image(bench, "sweep/lost", sample, "sha256-" + "a" * 64)
    assert bench.finding("sweep/lost") == ("missing", "containerd-erofs: no bundle")
    assert pending_events(bench.redis) == []  # It was a dry run.
    progress = bench.sweep().run(bench.store, repositories=["sweep/lost"])
    assert progress.counts == {"tags": 1, "missing": 1, "ignored": 1}
    (record,) = pending_events(bench.redis)
    assert record["event"] == {"repository": "sweep/lost", "tag": "1", "digest": pushed.digest}
    options = record["options"]
    assert isinstance(options, dict)
    assert (options["source"], options["priority"]) == ("sweep", "low")
    assert "force" not in options


def test_a_whole_bundle_of_the_current_key_is_left_alone(
    bench: Bench, sample: SampleLayer, current: Identity
) -> None:
    pushed = image(bench, "sweep/whole", sample)
    signer = open_test_signer(bench.folder, current)
    attach(bench.registry, "sweep/whole", sample, bundle_for(pushed, sample, signer))
    assert bench.finding("sweep/whole")[0] == "complete"
    bench.sweep().run(bench.store, repositories=["sweep/whole"])
    assert pending_events(bench.redis) == []
    assert bench.prune("sweep/whole") == []


def test_a_bundle_of_another_key_is_stale_and_made_anew(bench: Bench, sample: SampleLayer) -> None:
    pushed = image(bench, "sweep/stale", sample)
    other = identity("other", key=rsa_key(number=1))
    signer = open_test_signer(bench.folder, other, "other")
    attach(bench.registry, "sweep/stale", sample, bundle_for(pushed, sample, signer))
    kind, reason = bench.finding("sweep/stale")
    assert kind == "stale"
    assert "not signed by the current key" in reason
    bench.sweep().run(bench.store, repositories=["sweep/stale"])
    (record,) = pending_events(bench.redis)
    assert record["options"]["force"] is True  # type: ignore[index]


def test_an_older_builder_is_stale(bench: Bench, sample: SampleLayer, current: Identity) -> None:
    bench.config = bench.configured(current, profiles=["verilayer"])
    pushed = image(bench, "sweep/older", sample)
    signer = open_test_signer(bench.folder, current)
    bundle = bundle_for(pushed, sample, signer, "verilayer", builder_version="1.8.6")
    attach(bench.registry, "sweep/older", sample, bundle)
    assert bench.finding("sweep/older") == ("stale", "verilayer: built as erofs-utils 1.8.6")


def test_a_lost_blob_is_broken(bench: Bench, sample: SampleLayer, current: Identity) -> None:
    pushed = image(bench, "sweep/blob", sample)
    bundle = bundle_for(pushed, sample, open_test_signer(bench.folder, current))
    attach(bench.registry, "sweep/blob", sample, bundle)
    hexadecimal = sample.built.facts.index_digest.hex
    data = bench.server.root / "data/docker/registry/v2"
    for link in data.glob(f"repositories/sweep/blob/_layers/sha256/{hexadecimal}/link"):
        link.unlink()
    kind, reason = bench.finding("sweep/blob")
    assert kind == "broken"
    assert str(sample.built.facts.index_digest) in reason


def test_two_bundles_are_broken_and_prune_keeps_the_good_one(
    bench: Bench, sample: SampleLayer, current: Identity
) -> None:
    pushed = image(bench, "sweep/two", sample)
    good = bundle_for(pushed, sample, open_test_signer(bench.folder, current))
    old_key = identity("old", key=rsa_key(number=2))
    old = bundle_for(pushed, sample, open_test_signer(bench.folder, old_key, "old"))
    attach(bench.registry, "sweep/two", sample, good)
    for digest, data in old.blobs.items():
        blob = Descriptor(media_type="application/octet-stream", digest=digest, size=len(data))
        bench.registry.push_blob("sweep/two", blob, BytesSource(data))
    bench.registry.attach("sweep/two", old.manifest)
    foreign = artifact(pushed, "application/vnd.example.sbom", "not ours")
    bench.registry.attach("sweep/two", foreign)
    kind, reason = bench.finding("sweep/two")
    assert (kind, reason) == ("broken", "containerd-erofs: 2 bundles where readers accept one")
    # The old key is not configured any more, so only an operator who names it may remove its work.
    assert bench.prune("sweep/two") == []
    retired = signer_config(bench.folder, old_key, "old")
    bench.config = bench.config.model_copy(update={"signers": (*bench.config.signers, retired)})
    gone = [("superseded", old.manifest.digest)]
    assert bench.prune("sweep/two", dry_run=True) == gone
    assert bench.prune("sweep/two") == gone
    assert bench.prune("sweep/two") == []
    left = {each.digest for each in bench.registry.list_referrers("sweep/two", pushed.digest)}
    assert left == {good.manifest.digest, foreign.digest}
    assert bench.finding("sweep/two")[0] == "complete"


def test_bundles_of_a_deleted_image_are_pruned(
    bench: Bench, sample: SampleLayer, current: Identity
) -> None:
    pushed = image(bench, "sweep/orphan", sample)
    bundle = bundle_for(pushed, sample, open_test_signer(bench.folder, current))
    attach(bench.registry, "sweep/orphan", sample, bundle)
    foreign = artifact(pushed, "application/vnd.example.sbom")
    bench.registry.attach("sweep/orphan", foreign)
    bench.registry.delete_manifest("sweep/orphan", pushed.digest)
    assert bench.prune("sweep/orphan") == [("subject-gone", bundle.manifest.digest)]
    with pytest.raises(NotFound):
        bench.registry.resolve("sweep/orphan", bundle.manifest.digest)
    bench.registry.resolve("sweep/orphan", foreign.digest)


def test_a_sweep_goes_on_where_it_stopped(bench: Bench, sample: SampleLayer) -> None:
    for number in range(4):
        push_image(bench.registry, "sweep/resume", f"t{number}", sample.tar + bytes([number]))
    seen: list[str] = []

    def sweep(stop: bool) -> Progress:
        clock = iter(range(1000))
        made = bench.sweep(report=lambda found: seen.append(found.tag))
        made.now = lambda: float(next(clock))
        return made.run(bench.store, repositories=["sweep/resume"], seconds=0 if stop else None)

    for expected in (["t0"], ["t0", "t1"]):
        assert sweep(stop=True).finished is None
        assert seen == expected
    done = sweep(stop=False)
    assert seen == ["t0", "t1", "t2", "t3"]
    assert done.finished is not None
    assert done.counts == {"tags": 4, "missing": 4}
    assert len(pending_events(bench.redis)) == 4
    sweep(stop=False)
    assert seen[4:] == ["t0", "t1", "t2", "t3"]  # A finished sweep begins anew.


def test_rules_decide_what_is_swept(bench: Bench, sample: SampleLayer, current: Identity) -> None:
    image(bench, "sweep/rules", sample, "v1")
    image(bench, "sweep/rules", sample, "dev")
    bench.config = bench.configured(current, tags=["v*"])
    progress = bench.sweep().run(bench.store, repositories=["sweep/rules"])
    assert progress.counts == {"tags": 1, "missing": 1, "ignored": 1}
    bench.config = bench.configured(current, max_image_bytes=1)
    progress = bench.sweep(dry_run=True).run(bench.store, repositories=["sweep/rules"])
    assert progress.counts == {"tags": 2, "too-large": 1}


def test_a_full_intake_makes_the_sweep_wait(bench: Bench, sample: SampleLayer) -> None:
    image(bench, "sweep/room", sample)
    waiting = [1000, 500, 0]
    slept: list[float] = []
    made = bench.sweep()
    made.waiting = lambda: waiting.pop(0)
    made.sleep = slept.append
    made.run(bench.store, repositories=["sweep/room"])
    assert len(slept) == 2
    assert len(pending_events(bench.redis)) == 1


def test_the_whole_catalog_is_walked_once_at_a_time(bench: Bench, sample: SampleLayer) -> None:
    image(bench, "sweep/catalog", sample)
    names: set[str] = set()
    sweep = bench.sweep(report=lambda found: names.add(found.repository))
    assert sweep.run(bench.store).finished is not None
    assert "sweep/catalog" in names
    with (
        bench.store.running(bench.registry.id),
        pytest.raises(ConfigurationError, match="another sweep"),
    ):
        bench.sweep().run(bench.store)


def test_a_broken_image_is_counted_and_the_rest_swept(bench: Bench, sample: SampleLayer) -> None:
    broken = push_image(bench.registry, "sweep/damaged", "a", sample.tar + b"damaged")
    push_image(bench.registry, "sweep/damaged", "b", sample.tar + b"other")
    data = bench.server.root / "data/docker/registry/v2/blobs/sha256"
    (data / broken.digest.hex[:2] / broken.digest.hex / "data").write_bytes(b"{}")
    progress = bench.sweep().run(bench.store, repositories=["sweep/damaged"])
    assert progress.counts["missing"] == 1
    assert progress.counts["failed"] == 1


def test_redis_away_stops_a_sweep(bench: Bench, sample: SampleLayer) -> None:
    image(bench, "sweep/gone", sample)
    nowhere = ProgressStore(connect("redis://127.0.0.1:1/0", retries=0))
    with pytest.raises(BrokerUnavailable):
        bench.sweep().run(nowhere, repositories=["sweep/gone"])
