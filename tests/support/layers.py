"""Materialized layers with made-up but fixed facts."""

from __future__ import annotations

from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from app.oci.mediatypes import OCI_MANIFEST
from workers.artifacts.materialization import LayerMaterialization, SignedRoot, StoredBlob
from workers.layers.identity import erofs_uuid

SUBJECT = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"an image manifest"), size=1234)


def materialization(
    number: int = 0, *, padding: int = 512, signed: bool = True, single_device: bool = False
) -> LayerMaterialization:
    """A layer whose facts depend on ``number`` alone."""
    compressed = f"layer {number}, compressed".encode()
    tar = f"layer {number}, tar".encode()
    digest = Digest.of(compressed)

    def root(label: str) -> SignedRoot:
        text = f"{label} {number} {padding}".encode()
        return SignedRoot(Digest.of(text).hex, b"signature over " + text if signed else None)

    return LayerMaterialization(
        layer=Descriptor(
            media_type="application/vnd.oci.image.layer.v1.tar+gzip",
            digest=digest,
            size=5000 + number,
        ),
        diff_id=DiffID(Digest.of(tar)),
        index=StoredBlob(Digest.of(b"index of " + tar), 4096 + 512 * number),
        tree=StoredBlob(Digest.of(b"tree of " + tar), 1536 + 512 * number),
        root=root("root"),
        single_device=root("single-device root") if single_device else None,
        uuid=str(erofs_uuid(digest)),
        builder_version="1.9.3",
        padding=padding,
        data_size=10752 + 512 * number,
        hash_offset=-(-(10752 + 512 * number) // padding) * padding,
        entries=7 + number,
    )
