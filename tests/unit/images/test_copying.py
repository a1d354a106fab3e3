"""Copies between layouts: what comes along, and that every blob passes through the spool."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import NotFound, SpoolExhausted
from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import RawManifest, encode
from app.registry.layout.directory import LayoutRegistry
from app.registry.repository import Repository
from tests.support.images import layer_tar, push_blob, push_image
from workers.images.copying import Copier, ensure_blobs
from workers.layers.spool import Spool


@pytest.fixture
def source(tmp_path: Path) -> Repository:
    return Repository(LayoutRegistry(tmp_path / "source"), "team/app")


@pytest.fixture
def target(tmp_path: Path) -> Repository:
    return Repository(LayoutRegistry(tmp_path / "target"), "team/app")


def attach(source: Repository, subject: RawManifest, name: str) -> RawManifest:
    """Attach an artifact of one blob."""
    registry = source.registry
    config = push_blob(registry, source.name, mediatypes.OCI_EMPTY, b"{}")
    blob = push_blob(registry, source.name, "text/plain", name.encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "artifactType": "application/x-note",
        "config": config.wire(),
        "layers": [blob.wire()],
        "subject": subject.descriptor.wire(),
    }
    attached = RawManifest(mediatypes.OCI_MANIFEST, encode(manifest))
    source.attach(attached)
    return attached


def with_foreign_layer(source: Repository) -> RawManifest:
    """Push a manifest as Windows images have them: its layer is in no registry."""
    registry = source.registry
    config = push_blob(registry, source.name, mediatypes.OCI_CONFIG, encode({"os": "windows"}))
    kind = sorted(mediatypes.FOREIGN_LAYERS)[0]
    foreign = Descriptor(media_type=kind, digest=Digest.of(b"elsewhere"), size=9)
    manifest = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": config.wire(),
        "layers": [foreign.wire()],
    }
    raw = RawManifest(mediatypes.OCI_MANIFEST, encode(manifest))
    source.push_manifest(raw)
    return raw


def test_referrers_and_their_referrers_come_along(
    source: Repository, target: Repository, tmp_path: Path
) -> None:
    image = push_image(source.registry, source.name, [layer_tar(1)], tag="1")
    note = attach(source, image.manifest, "a note")
    more = attach(source, note, "on a note")
    spool = Spool(tmp_path / "spool", 1 << 30)
    copied = Copier(source, target, spool).copy("1", "1")
    assert set(copied.referrers) == {note.digest, more.digest}
    assert target.resolve("1").digest == image.digest
    assert [each.digest for each in target.list_referrers(note.digest)] == [more.digest]
    assert spool.reserved() == 0
    again = Copier(source, target, spool).copy("1", "1")
    assert again.blobs_copied == 0


def test_a_manifest_alone_leaves_what_is_attached(
    source: Repository, target: Repository, tmp_path: Path
) -> None:
    image = push_image(source.registry, source.name, [layer_tar(1)])
    attach(source, image.manifest, "a note")
    spool = Spool(tmp_path / "spool", 1 << 30)
    Copier(source, target, spool, attached=False).manifest(image.manifest)
    assert all(target.blob_exists(layer.digest) for layer in image.layers)
    assert target.resolve(image.digest).digest == image.digest
    assert target.list_referrers(image.digest) == []


def test_layers_that_no_registry_may_store_are_left_out(
    source: Repository, target: Repository, tmp_path: Path
) -> None:
    raw = with_foreign_layer(source)
    Copier(source, target, Spool(tmp_path / "spool", 1 << 30)).copy(raw.digest, None)
    assert target.fetch_manifest(raw.digest) == raw
    assert not target.blob_exists(Digest.of(b"elsewhere"))


def test_nothing_passes_beside_the_quota(
    source: Repository, target: Repository, tmp_path: Path
) -> None:
    image = push_image(source.registry, source.name, [layer_tar(1)])
    spool = Spool(tmp_path / "spool", image.layers[0].size - 1)
    with pytest.raises(SpoolExhausted):
        Copier(source, target, spool).copy(image.digest, "1")
    with pytest.raises(SpoolExhausted):
        ensure_blobs(source, target, image.layers, spool)
    assert not target.blob_exists(image.layers[0].digest)
    with pytest.raises(NotFound):
        target.resolve("1")


def test_blobs_are_there_brought_or_nowhere(
    source: Repository, target: Repository, tmp_path: Path
) -> None:
    image = push_image(source.registry, source.name, [layer_tar(1)])
    spool = Spool(tmp_path / "spool", 1 << 30)
    assert ensure_blobs(source, source, image.layers, spool) == "reused"
    assert ensure_blobs(source, target, image.layers, spool) == "copied"
    assert ensure_blobs(source, target, image.layers, spool) == "reused"
    nowhere = Descriptor(media_type="x", digest=Digest.of(b"nowhere"), size=7)
    assert ensure_blobs(source, target, [nowhere], spool) is None
    assert ensure_blobs(source, source, [nowhere], spool) is None
