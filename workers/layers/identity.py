"""UUIDs that a node derives from a layer's digest, so that ours equal its own.

Both are version 5 in the URL name space (RFC 9562 section 5.5) over the digest *in the manifest*,
that is of the compressed blob, with its ``sha256:`` prefix.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

from app.oci.digest import Digest


def erofs_uuid(layer: Digest) -> UUID:
    """UUID in the superblock of the layer's tar index; part of the root hash."""
    return uuid5(NAMESPACE_URL, "erofs:blobs/" + layer)


def verity_uuid(layer: Digest) -> UUID:
    """UUID in the superblock of the layer's hash tree; outside the root hash, never zero."""
    return uuid5(NAMESPACE_URL, "dmverity:blobs/" + layer)
