"""The main job on real parts: push, notification, worker, bundle; bytes are fetched back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.jobs.state import JobState
from app.jobs.store import Placing
from app.oci.digest import Digest
from app.oci.manifest import Manifest, parse_manifest
from tests.support.images import (
    PushedImage,
    layer_tar,
    push_attestation,
    push_image,
    push_index,
)
from tests.support.pipeline import Pipeline, pipeline
from tests.support.tarmaker import END, header, padded
from tests.support.tools import require
from workers.artifacts.reading import read_bundle
from workers.layers.building import build_layer
from workers.layers.built import LayerOptions
from workers.layers.spool import Spool

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipeline(tmp_path_factory.mktemp("pipeline")) as running:
        yield running


def fetch(service: Pipeline, repository: str, digest: Digest) -> bytes:
    """A blob's bytes, from the registry itself and not through our client."""
    answer = httpx.get(f"{service.server.url}/v2/{repository}/blobs/{digest}")
    assert answer.status_code == 200
    assert Digest.of(answer.content) == digest
    return answer.content


def check_bundle(service: Pipeline, repository: str, image: PushedImage, tmp_path: Path) -> None:
    (found,) = service.bundles(repository, image.digest)
    raw = service.registry.fetch_manifest(repository, found.digest)
    manifest = parse_manifest(raw)
    assert isinstance(manifest, Manifest)
    assert manifest.subject is not None
    assert manifest.subject.digest == image.digest
    claimed = read_bundle(manifest, "containerd-erofs").layers
    assert list(claimed) == [layer.digest for layer in image.layers]
    for layer in image.layers:
        one = claimed[layer.digest]
        index = fetch(service, repository, one.parts["index"].digest)
        tree = fetch(service, repository, one.parts["tree"].digest)
        signature = fetch(service, repository, one.parts["signature"].digest)
        root = one.facts["root_hash"]
        compressed = image.blobs[layer.digest]
        with build_layer(
            [compressed],
            compression="gzip",
            options=LayerOptions(layer_digest=layer.digest),
            spool=Spool(tmp_path / "spool", 1 << 30),
        ) as built:
            assert index == built.device_table.index
            assert root == built.facts.root_hash
        veritysetup_accepts(tmp_path, index, compressed, tree, root)
        openssl_accepts(tmp_path, signature, root, service.certificate)


def veritysetup_accepts(
    tmp_path: Path, index: bytes, compressed: bytes, tree: bytes, root: str
) -> None:
    import gzip

    data, hashes = tmp_path / "data", tmp_path / "tree"
    data.write_bytes(index + gzip.decompress(compressed))
    hashes.write_bytes(tree)
    subprocess.run([require("veritysetup"), "verify", data, hashes, root], check=True)


def openssl_accepts(tmp_path: Path, signature: bytes, root: str, certificate: Path) -> None:
    (tmp_path / "signature").write_bytes(signature)
    (tmp_path / "root").write_text(root)
    subprocess.run(
        [
            *(require("openssl"), "smime", "-verify", "-binary", "-inform", "der"),
            *("-in", tmp_path / "signature", "-content", tmp_path / "root"),
            *("-certfile", certificate, "-nointern", "-noverify", "-out", "/dev/null"),
        ],
        check=True,
        capture_output=True,
    )


def test_an_index_of_two_platforms_gets_one_bundle_per_platform(
    service: Pipeline, tmp_path: Path
) -> None:
    shared, registry = layer_tar(1), service.registry
    images = {
        name: push_image(registry, "team/app", [shared, layer_tar(seed)], architecture=name)
        for name, seed in (("amd64", 2), ("arm64", 3))
    }
    attestation = push_attestation(registry, "team/app")
    index = push_index(registry, "team/app", "1.0", images, attestation)
    service.wait_idle()
    for image in images.values():
        check_bundle(service, "team/app", image, tmp_path)
    assert service.bundles("team/app", index.digest) == []
    assert service.bundles("team/app", attestation.digest) == []
    jobs = {job.digest: job for job in service.jobs("team/app")}
    for name, image in images.items():
        job = jobs[image.digest]
        assert job.state is JobState.SUCCEEDED
        assert job.platform == f"linux/{name}"
        assert {"plan", "layers", "sign", "attach"} <= set(job.timings)
        assert [one.digest for one in job.bundles] == [
            service.bundles("team/app", image.digest)[0].digest
        ]


def test_the_same_event_ten_times_converts_nothing_twice(service: Pipeline, tmp_path: Path) -> None:
    image = push_image(service.registry, "team/again", [layer_tar(10), layer_tar(11)], tag="1")
    service.wait_idle()
    built = service.builds_done()
    bundle = service.bundles("team/again", image.digest)
    accepted = service.engine.events.counts().accepted
    for number in range(10):
        assert service.notify("team/again", image.digest, "1").status_code == 202, number
    service.wait_idle(at_least=accepted + 10)
    assert service.builds_done() == built
    assert service.bundles("team/again", image.digest) == bundle
    assert len(bundle) == 1
    (job,) = service.jobs("team/again")
    assert job.state is JobState.SUCCEEDED


def test_a_delivery_told_twice_is_dropped(service: Pipeline) -> None:
    image = push_image(service.registry, "team/replay", [layer_tar(20)], tag="1")
    service.wait_idle()
    before = service.engine.events.counts()
    for _ in range(3):
        assert service.notify("team/replay", image.digest, "1", event="same").status_code == 202
    service.wait_idle()
    after = service.engine.events.counts()
    assert after.accepted == before.accepted + 1
    assert after.duplicates == before.duplicates + 2


def test_our_own_pushes_do_not_loop(service: Pipeline) -> None:
    service.wait_idle(at_least=0)
    before = service.engine.events.counts().settled.get("dropped", 0)
    image = push_image(service.registry, "team/loop", [layer_tar(30)], tag="1")
    service.wait_idle()
    counts = service.engine.events.counts()
    assert counts.accepted == sum(counts.settled.values())
    # The bundle was pushed and notified, and dropped; the endpoint drops the fallback tag itself.
    assert counts.settled.get("dropped", 0) == before + 1
    assert [job.digest for job in service.jobs("team/loop")] == [image.digest]
    (bundle,) = service.bundles("team/loop", image.digest)
    assert service.notify("team/loop", bundle.digest).status_code == 202
    service.wait_idle()
    assert [job.digest for job in service.jobs("team/loop")] == [image.digest]


def test_a_lossy_layer_is_skipped_with_its_entries(service: Pipeline) -> None:
    body = b"old regular file"
    lossy = header(b"old.txt", b"\0", size=len(body)) + padded(body) + END
    image = push_image(service.registry, "team/lossy", [layer_tar(40), lossy], tag="1")
    service.wait_idle()
    assert service.bundles("team/lossy", image.digest) == []
    (job,) = service.jobs("team/lossy")
    assert job.state is JobState.SKIPPED
    assert job.failure is not None
    assert job.failure.code == "lossy"
    assert any("old.txt" in entry and "nul-type" in entry for entry in job.failure.details)


def test_layers_built_in_another_repository_are_mounted(service: Pipeline, tmp_path: Path) -> None:
    tars = [layer_tar(50), layer_tar(51)]
    push_image(service.registry, "team/first", tars, tag="1")
    service.wait_idle()
    built = service.builds_done()
    image = push_image(service.registry, "team/second", tars, tag="1")
    service.wait_idle()
    assert service.builds_done() == built
    check_bundle(service, "team/second", image, tmp_path)
    (job,) = service.jobs("team/second")
    assert {layer.outcome for layer in job.layers} == {"mounted"}


def test_a_layer_whose_blobs_are_gone_is_built_again(service: Pipeline, tmp_path: Path) -> None:
    image = push_image(service.registry, "team/stale", [layer_tar(60)], tag="1")
    service.wait_idle()
    built = service.builds_done()
    (job,) = service.jobs("team/stale")
    build = service.engine.builds.get(job.layers[0].build)
    assert build is not None
    assert build.facts is not None
    tree = f"{service.server.url}/v2/team/stale/blobs/{build.facts.tree_digest}"
    assert httpx.delete(tree).status_code == 202
    service.notify("team/stale", image.digest, "1")
    service.wait_idle()
    assert service.builds_done() == built + 1
    check_bundle(service, "team/stale", image, tmp_path)


def test_a_record_of_another_layer_is_thrown_away(service: Pipeline, tmp_path: Path) -> None:
    tars = [layer_tar(80), layer_tar(81)]
    push_image(service.registry, "team/swapped", tars, tag="1")
    service.wait_idle()
    (job,) = service.jobs("team/swapped")
    store = service.engine.builds.store
    one, two = (store.get(layer.build) for layer in job.layers)
    assert one is not None
    assert two is not None
    swapped = one.record.model_copy(update={"facts": two.record.facts})
    assert store.write(swapped, one.revision, Placing("none"))
    built = service.builds_done()
    image = push_image(service.registry, "team/victim", tars[:1], tag="1")
    service.wait_idle()
    (job,) = service.jobs("team/victim")
    assert job.state is JobState.SUCCEEDED
    assert service.builds_done() == built + 1
    check_bundle(service, "team/victim", image, tmp_path)


def test_what_an_older_release_recorded_is_built_again(service: Pipeline, tmp_path: Path) -> None:
    tars = [layer_tar(82)]
    push_image(service.registry, "team/upgraded", tars, tag="1")
    service.wait_idle()
    (job,) = service.jobs("team/upgraded")
    store = service.engine.builds.store
    found = store.get(job.layers[0].build)
    assert found is not None
    older = found.record.model_copy(update={"facts": None})
    assert store.write(older, found.revision, Placing("none"))
    built = service.builds_done()
    image = push_image(service.registry, "team/later", tars, tag="1")
    service.wait_idle()
    assert service.builds_done() == built + 1
    check_bundle(service, "team/later", image, tmp_path)


def test_a_lying_diff_id_is_a_permanent_failure(service: Pipeline) -> None:
    tar = layer_tar(70)
    good = push_image(service.registry, "team/liar", [tar], tag="good")
    service.wait_idle()
    lying = push_lying_image(service, "team/liar", good)
    service.wait_idle()
    job = next(job for job in service.jobs("team/liar") if job.digest == lying)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert not job.failure.retryable
    assert service.bundles("team/liar", lying) == []


def push_lying_image(service: Pipeline, repository: str, good: PushedImage) -> Digest:
    from app.oci import mediatypes
    from app.oci.manifest import RawManifest, encode
    from tests.support.images import push_blob

    config = encode(
        {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
        }
    )
    described = push_blob(service.registry, repository, mediatypes.OCI_CONFIG, config)
    manifest = RawManifest(
        mediatypes.OCI_MANIFEST,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "config": described.wire(),
                "layers": [layer.wire() for layer in good.layers],
            }
        ),
    )
    service.registry.push_manifest(repository, manifest, "lying")
    return manifest.digest
