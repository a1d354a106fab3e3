"""What one pass over a layer read and computed: the one form of it from build to bundle.

The builder makes it, the ledger keeps it, the signing authority holds it against what manifest and
config claim, and bundles are composed from it. Nothing in it is taken from a claim.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.oci.digest import DiffID, Digest


@dataclass(frozen=True, slots=True)
class WarnedKind:
    """One kind of warning about a layer: how many entries it befell, and the first as text."""

    kind: str
    count: int
    first: str


# A standard dataclass, which pydantic reads and writes where it is a record's field:
# ``verilayer layer build`` starts without pydantic.
@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """One built layer; sizes and offsets in bytes, root hashes 64 lowercase hex characters."""

    #: Digest and size of the (compressed) blob as it was read.
    layer_digest: Digest
    layer_size: int
    #: Digest and size of the tar as it was read.
    diff_id: DiffID
    tar_size: int
    #: Release of erofs-utils whose bytes the index has.
    builder_version: str
    #: The verity data area is zero-filled to a multiple of this: 512, or 4096 for profile ``azl``.
    padding: int
    #: UUID of the index.
    uuid: str
    #: Index and hash tree in the ``device-table`` layout.
    index_digest: Digest
    index_size: int
    tree_digest: Digest
    tree_size: int
    root_hash: str
    #: Root hash of the ``single-device`` layout; None where it was not wanted, or not found in a
    #: bundle that was read back.
    single_device_root_hash: str | None = None
    #: Length of index + tar before padding, and offset of the hash area.
    data_size: int
    hash_offset: int
    entries: int
    #: ``kind: entry: message`` of the first warnings; how many there are is in ``warned``.
    warnings: tuple[str, ...]
    #: Every kind of warning that was met, with exact counts.
    warned: tuple[WarnedKind, ...]
    #: Of the worker that read the layer, over all of the above; empty where nobody sealed it.
    seal: str = ""
