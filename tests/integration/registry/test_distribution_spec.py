"""The workflows of the OCI distribution conformance suite that a client takes part in.

Pull, push, content discovery and content management, against both registries; each test names the
section of the distribution-spec it follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.errors import ManifestTooLarge, NotFound, RegistryError
from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.fallback import fallback_tag
from app.oci.manifest import MAX_MANIFEST_BYTES, RawManifest, encode
from app.registry.protocols import Registry
from app.registry.transfer.sources import BytesSource
from tests.support.artifacts import LAYER, artifact, blob, push_image
from tests.support.registries import RunningRegistry, docker_registry

pytestmark = pytest.mark.real


@pytest.fixture
def registry(server: RunningRegistry) -> Iterator[Registry]:
    with closing(server.open()) as opened:
        yield opened


def test_pull_by_tag_and_by_digest(registry: Registry, repository: str) -> None:
    """Pulling manifests, Pulling blobs."""
    image = push_image(registry, repository, "v1", b"layer")
    for reference in ("v1", image.digest):
        assert registry.resolve(repository, reference) == image.descriptor
        assert registry.fetch_manifest(repository, reference) == image
    layer = Descriptor(media_type=LAYER, digest=Digest.of(b"layer"), size=5)
    assert registry.read_blob(repository, layer, max_bytes=5) == b"layer"


@pytest.mark.parametrize("upload", ["monolithic", "chunked"])
def test_push_monolithically_and_in_chunks(
    server: RunningRegistry, repository: str, upload: str
) -> None:
    """Pushing a blob monolithically (POST then PUT), Pushing a blob in chunks."""
    data = bytes(200_000)
    descriptor = Descriptor(media_type=LAYER, digest=Digest.of(data), size=len(data))
    quirks = {"upload": upload, "chunk_bytes": 1 << 16}
    with closing(server.open(quirks=quirks)) as registry:
        registry.push_blob(repository, descriptor, BytesSource(data))
        assert registry.read_blob(repository, descriptor, max_bytes=1 << 20) == data


def test_mount_from_another_repository(registry: Registry, repository: str) -> None:
    """Mounting a blob from another repository."""
    descriptor = blob(registry, repository, b"to be mounted")
    other = repository + "/other"
    assert not registry.blob_exists(other, descriptor.digest)
    assert registry.mount_blob(other, descriptor.digest, repository)
    assert registry.blob_exists(other, descriptor.digest)


def test_a_manifest_is_pushed_as_exact_bytes(registry: Registry, repository: str) -> None:
    """Pushing manifests: odd white space and unknown fields must survive."""
    image = push_image(registry, repository, "v1", b"layer")
    data = b" " + image.data[:-1] + b', "x-unknown": [1, 2]}\n'
    odd = RawManifest(image.media_type, data)
    assert registry.push_manifest(repository, odd, "odd").digest == odd.digest
    assert registry.fetch_manifest(repository, "odd") == odd


def test_docker_manifests_and_indexes(registry: Registry, repository: str) -> None:
    """Media types of Docker's schema 2 are kept."""
    config = blob(registry, repository, b"{}", mediatypes.DOCKER_CONFIG)
    layer = blob(registry, repository, b"x", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.DOCKER_MANIFEST,
        "config": config.wire(),
        "layers": [layer.wire()],
    }
    image = RawManifest(mediatypes.DOCKER_MANIFEST, encode(document))
    registry.push_manifest(repository, image)
    platform = {"os": "linux", "architecture": "amd64"}
    index = RawManifest(
        mediatypes.DOCKER_INDEX,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.DOCKER_INDEX,
                "manifests": [image.descriptor.wire() | {"platform": platform}],
            }
        ),
    )
    registry.push_manifest(repository, index, "multi")
    assert registry.resolve(repository, "multi").media_type == mediatypes.DOCKER_INDEX
    assert registry.fetch_manifest(repository, "multi") == index


def test_a_manifest_without_its_blobs_is_refused(registry: Registry, repository: str) -> None:
    """Pushing manifests: MANIFEST_BLOB_UNKNOWN is the caller's mistake, not a transport error."""
    absent = Descriptor(media_type=mediatypes.OCI_CONFIG, digest=Digest.of(b"absent"), size=6)
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": absent.wire(),
        "layers": [],
    }
    with pytest.raises(RegistryError) as caught:
        registry.push_manifest(
            repository, RawManifest(mediatypes.OCI_MANIFEST, encode(document)), "v1"
        )
    assert not caught.value.retryable


def test_a_manifest_that_no_registry_takes_is_not_sent(registry: Registry, repository: str) -> None:
    """Pushing manifests: the limit of 4 MiB."""
    data = encode({"schemaVersion": 2, "x": "y" * MAX_MANIFEST_BYTES})
    with pytest.raises(ManifestTooLarge):
        registry.push_manifest(repository, RawManifest(mediatypes.OCI_MANIFEST, data), "v1")


def test_a_referrer_may_come_before_its_subject(registry: Registry, repository: str) -> None:
    """Pushing manifests with subject: the registry must accept a missing subject."""
    subject = artifact(push_image(registry, repository, "v1", b"layer"), "application/absent")
    manifest = artifact(subject, "application/a")
    registry.attach(repository, manifest)
    assert [e.digest for e in registry.list_referrers(repository, subject.digest)] == [
        manifest.digest
    ]


def test_the_fallback_tag_is_what_the_spec_describes(registry: Registry, repository: str) -> None:
    """Referrers tag schema: an index with type and annotations, without repetitions."""
    image = push_image(registry, repository, "v1", b"layer")
    manifest = artifact(image, "application/a", "hello")
    for _ in range(2):
        registry.attach(repository, manifest)
    index = registry.fetch_manifest(repository, fallback_tag(image.digest))
    assert index.media_type == mediatypes.OCI_INDEX
    found = registry.list_referrers(repository, image.digest)
    assert [(e.digest, e.artifact_type, e.annotations) for e in found] == [
        (manifest.digest, "application/a", {"note": "hello"})
    ]


def test_tags_and_repositories_are_listed_over_pages(registry: Registry, repository: str) -> None:
    """Content discovery: listing tags, with more than a page of them."""
    image = push_image(registry, repository, "t000", b"layer")
    tags = [f"t{number:03}" for number in range(205)]
    for tag in tags[1:]:
        registry.push_manifest(repository, image, tag)
    assert sorted(registry.list_tags(repository)) == tags
    assert repository in list(registry.list_repositories())


def test_delete_is_idempotent(registry: Registry, repository: str) -> None:
    """Content management: deleting manifests."""
    image = push_image(registry, repository, "v1", b"layer")
    for _ in range(2):
        registry.delete_manifest(repository, image.digest)
    with pytest.raises(NotFound):
        registry.resolve(repository, image.digest)


def test_detach_where_nothing_can_be_deleted(
    repository: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Content management: a registry may refuse DELETE; the referrer is unlisted."""
    with (
        docker_registry(tmp_path_factory.mktemp("fixed"), delete=False) as server,
        closing(server.open()) as registry,
    ):
        image = push_image(registry, repository, "v1", b"layer")
        manifest = artifact(image, "application/a")
        registry.attach(repository, manifest)
        registry.detach(repository, image.digest, manifest.digest)
        assert registry.list_referrers(repository, image.digest) == []
        assert registry.fetch_manifest(repository, manifest.digest) == manifest
