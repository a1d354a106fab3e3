"""Signed layers with made-up but fixed facts."""

from __future__ import annotations

from app.facts import LayerFacts
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from app.oci.mediatypes import OCI_MANIFEST
from workers.artifacts.signed import SignedLayer
from workers.layers.identity import erofs_uuid

SUBJECT = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"an image manifest"), size=1234)


def signed_layer(
    number: int = 0, *, padding: int = 512, signed: bool = True, single_device: bool = False
) -> SignedLayer:
    """A layer whose facts depend on ``number`` alone."""
    compressed = f"layer {number}, compressed".encode()
    tar = f"layer {number}, tar".encode()
    root = f"root {number} {padding}".encode()
    single = f"single-device root {number} {padding}".encode()
    layer = Descriptor(
        media_type="application/vnd.oci.image.layer.v1.tar+gzip",
        digest=Digest.of(compressed),
        size=5000 + number,
    )
    facts = LayerFacts(
        layer_digest=layer.digest,
        layer_size=layer.size,
        diff_id=DiffID(Digest.of(tar)),
        tar_size=6656,
        builder_version="1.9.3",
        padding=padding,
        uuid=str(erofs_uuid(layer.digest)),
        index_digest=Digest.of(b"index of " + tar),
        index_size=4096 + 512 * number,
        tree_digest=Digest.of(b"tree of " + tar),
        tree_size=1536 + 512 * number,
        root_hash=Digest.of(root).hex,
        single_device_root_hash=Digest.of(single).hex if single_device else None,
        data_size=10752 + 512 * number,
        hash_offset=-(-(10752 + 512 * number) // padding) * padding,
        entries=7 + number,
        warnings=(),
        warned=(),
    )
    return SignedLayer(
        layer,
        facts,
        b"signature over " + root if signed else None,
        b"signature over " + single if signed and single_device else None,
    )
