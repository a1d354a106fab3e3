"""Every operation of a repository, with its effect checked behind the client's back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import RawManifest
from app.registry.protocols import Registry
from app.registry.repository import Repository
from app.registry.transfer.sources import BytesSource
from tests.support.artifacts import LAYER, artifact, blob, push_image

KIND = "application/vnd.test.artifact"
CONTENT = bytes(range(256)) * 1024


@dataclass(frozen=True, slots=True)
class Scene:
    """A repository with an image, one referrer attached, and one more that could be."""

    repository: str
    image: RawManifest
    layer: Descriptor
    attached: RawManifest
    other: RawManifest
    fresh: Descriptor
    fresh_data: bytes

    @classmethod
    def make(cls, registry: Registry, repository: str) -> Scene:
        """Push it all through a client that nothing stands in the way of."""
        image = push_image(registry, repository, "v1", CONTENT)
        attached = artifact(image, KIND, "attached")
        registry.attach(repository, attached)
        data = repository.encode() * 4000
        fresh = Descriptor(media_type=LAYER, digest=Digest.of(data), size=len(data))
        layer = Descriptor(media_type=LAYER, digest=Digest.of(CONTENT), size=len(CONTENT))
        other = artifact(image, KIND, "other")
        blob(registry, repository + "/source", repository.encode())
        return cls(repository, image, layer, attached, other, fresh, data)

    def listed(self, repository: Repository) -> set[Digest]:
        """Return the referrers of the image."""
        found = repository.list_referrers(self.image.digest)
        return {entry.digest for entry in found}


def _pull(repository: Repository, scene: Scene) -> bytes:
    with repository.fetch_blob(scene.layer) as chunks:
        return b"".join(chunks)


def _mount(repository: Repository, scene: Scene) -> bool:
    digest = Digest.of(scene.repository.encode())
    origin = Repository(repository.registry, scene.repository + "/source")
    return repository.mount_blob(digest, origin)


type_act = Callable[[Repository, Scene], Any]
type_check = Callable[[Any, Repository, Scene], bool]

#: Name -> what to do, and whether it had its effect (given its result and an undisturbed client).
OPERATIONS: dict[str, tuple[type_act, type_check]] = {
    "resolve": (
        lambda r, s: r.fetch_manifest(r.resolve("v1").digest),
        lambda result, r, s: bool(result == s.image),
    ),
    "fetch_manifest": (
        lambda r, s: r.fetch_manifest(s.image.digest),
        lambda result, r, s: bool(result == s.image),
    ),
    "fetch_manifest_by_tag": (
        lambda r, s: r.fetch_manifest("v1"),
        lambda result, r, s: bool(result == s.image),
    ),
    "fetch_blob": (_pull, lambda result, r, s: bool(result == CONTENT)),
    "read_blob": (
        lambda r, s: r.read_blob(s.layer, max_bytes=1 << 20),
        lambda result, r, s: bool(result == CONTENT),
    ),
    "blob_exists": (
        lambda r, s: r.blob_exists(s.layer.digest),
        lambda result, r, s: result is True,
    ),
    "push_blob": (
        lambda r, s: r.push_blob(s.fresh, BytesSource(s.fresh_data)),
        lambda result, r, s: r.read_blob(s.fresh, max_bytes=1 << 20) == s.fresh_data,
    ),
    "mount_blob": (
        _mount,
        lambda result, r, s: result is False or r.blob_exists(Digest.of(s.repository.encode())),
    ),
    "push_manifest": (
        lambda r, s: r.push_manifest(s.other, "v2"),
        lambda result, r, s: r.fetch_manifest("v2") == s.other,
    ),
    "delete_manifest": (
        lambda r, s: r.delete_manifest(s.attached.digest),
        lambda result, r, s: True,
    ),
    "list_referrers": (
        lambda r, s: r.list_referrers(s.image.digest, KIND),
        lambda result, r, s: [e.digest for e in result] == [s.attached.digest],
    ),
    "attach": (
        lambda r, s: r.attach(s.other),
        lambda result, r, s: s.listed(r) == {s.attached.digest, s.other.digest},
    ),
    "detach": (
        lambda r, s: r.detach(s.image.digest, s.attached.digest),
        lambda result, r, s: s.listed(r) == set(),
    ),
    "list_tags": (
        lambda r, s: list(r.list_tags()),
        lambda result, r, s: "v1" in result,
    ),
    "list_repositories": (
        lambda r, s: any(name == s.repository for name in r.registry.list_repositories()),
        lambda result, r, s: result is True,
    ),
}
