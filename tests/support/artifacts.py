"""Small images and artifacts for tests of registries."""

from __future__ import annotations

from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import RawManifest, encode
from app.oci.mediatypes import EMPTY_JSON
from app.registry.protocols import Registry
from app.registry.transfer.sources import BytesSource

LAYER = "application/vnd.oci.image.layer.v1.tar"


def blob(registry: Registry, repository: str, data: bytes, media_type: str = LAYER) -> Descriptor:
    """Push some bytes."""
    descriptor = Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))
    registry.push_blob(repository, descriptor, BytesSource(data))
    return descriptor


def push_image(registry: Registry, repository: str, tag: str, layer: bytes) -> RawManifest:
    """Push an image of one uncompressed layer, which need not be a tar."""
    document: dict[str, object] = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer)]},
    }
    config = blob(registry, repository, encode(document), mediatypes.OCI_CONFIG)
    manifest = RawManifest(
        mediatypes.OCI_MANIFEST,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "config": config.wire(),
                "layers": [blob(registry, repository, layer).wire()],
            }
        ),
    )
    registry.push_manifest(repository, manifest, tag)
    blob(registry, repository, EMPTY_JSON, mediatypes.OCI_EMPTY)
    return manifest


def artifact(subject: RawManifest, kind: str, note: str = "") -> RawManifest:
    """Return an artifact manifest that refers to ``subject``; ``push_image`` pushed its config."""
    return RawManifest(
        mediatypes.OCI_MANIFEST,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "artifactType": kind,
                "config": {
                    "mediaType": mediatypes.OCI_EMPTY,
                    "digest": Digest.of(EMPTY_JSON),
                    "size": len(EMPTY_JSON),
                },
                "layers": [],
                "subject": subject.descriptor.wire(),
                "annotations": {"note": note},
            }
        ),
    )
