"""The image layout behind the registry protocols."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.errors import ContentMismatch, NotFound, RegistryError
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.fallback import fallback_tag
from app.registry.layout.directory import LayoutRegistry
from app.registry.protocols import Registry
from app.registry.transfer.sources import BytesSource
from tests.support.artifacts import artifact, blob, push_image
from tests.support.tools import require


def test_a_layout_is_a_registry(tmp_path: Path) -> None:
    registry: Registry = LayoutRegistry(tmp_path / "layout")
    image = push_image(registry, "team/app", "v1", b"content")
    assert registry.resolve("team/app", "v1").digest == image.digest
    assert registry.fetch_manifest("team/app", image.digest) == image
    assert list(registry.list_tags("team/app")) == ["v1"]
    with pytest.raises(NotFound):
        registry.resolve("team/app", "v2")
    with pytest.raises(NotFound):
        list(registry.list_repositories())


def test_referrers_are_found_and_removed(tmp_path: Path) -> None:
    registry = LayoutRegistry(tmp_path / "layout")
    image = push_image(registry, "team/app", "v1", b"content")
    one, two = artifact(image, "application/a"), artifact(image, "application/b")
    for manifest in (one, two, one):
        registry.attach("team/app", manifest)
    found = registry.list_referrers("team/app", image.digest)
    assert {entry.digest for entry in found} == {one.digest, two.digest}
    assert [e.digest for e in registry.list_referrers("x", image.digest, "application/a")] == [
        one.digest
    ]
    assert fallback_tag(image.digest) in list(registry.list_tags("team/app"))
    for manifest in (one, two):
        registry.detach("team/app", image.digest, manifest.digest)
    assert registry.list_referrers("team/app", image.digest) == []
    assert list(registry.list_tags("team/app")) == ["v1"]


def test_a_wrong_blob_leaves_nothing_behind(tmp_path: Path) -> None:
    registry = LayoutRegistry(tmp_path / "layout")
    descriptor = Descriptor(media_type="application/x", digest=Digest.of(b"right"), size=5)
    with pytest.raises(ContentMismatch):
        registry.push_blob("team/app", descriptor, BytesSource(b"wrong"))
    assert list((tmp_path / "layout" / "blobs" / "sha256").iterdir()) == []


def test_a_damaged_blob_is_noticed(tmp_path: Path) -> None:
    registry = LayoutRegistry(tmp_path / "layout")
    descriptor = blob(registry, "team/app", b"right")
    path = tmp_path / "layout" / "blobs" / "sha256" / descriptor.digest.hex
    path.write_bytes(b"wrong")
    with pytest.raises(ContentMismatch):
        registry.read_blob("team/app", descriptor, max_bytes=100)


def test_a_directory_with_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(RegistryError, match="not an OCI image layout"):
        LayoutRegistry(tmp_path)


@pytest.mark.real
def test_skopeo_reads_the_layout(tmp_path: Path) -> None:
    registry = LayoutRegistry(tmp_path / "layout")
    image = push_image(registry, "team/app", "v1", b"content")
    answer = subprocess.run(
        [require("skopeo"), "inspect", "--raw", f"oci:{tmp_path / 'layout'}:v1"],
        capture_output=True,
        check=True,
    )
    assert answer.stdout == image.data
