"""What conversion of one layer yields: the facts that every bundle format is composed from."""

from __future__ import annotations

from dataclasses import dataclass

from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """Content that has been pushed (or is held inline) and can be described; size in bytes."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """A root hash (64 lowercase hex characters) and its detached signature (DER), if signed."""

    root_hash: str
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class LayerMaterialization:
    """One converted layer. Deterministic in (layer digest, tar, builder version, options)."""

    layer: Descriptor
    diff_id: DiffID
    index: StoredBlob
    tree: StoredBlob
    #: Root hash of the layout that the bundle carries (``device-table``, as mkfs.erofs writes it).
    root: SignedRoot
    #: Root hash of the same content in single-device form, where computed.
    single_device: SignedRoot | None
    uuid: str
    builder_version: str
    #: Alignment of the verity data area: 512, or 4096 for profile ``azl``.
    padding: int
    #: Length of index + tar, and offset of the hash area, in bytes.
    data_size: int
    hash_offset: int
    entries: int
