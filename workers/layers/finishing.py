"""From an index and the tar's leaves to hash trees, root hashes and digests."""

from __future__ import annotations

import functools
from collections.abc import Callable

from app.oci.digest import Digest
from workers.formats.tarindex.builder import single_device_form
from workers.formats.verity.blocks import block_hashes
from workers.formats.verity.extents import ByteStore, HeldBytes
from workers.formats.verity.superblock import VeritySuperblock
from workers.formats.verity.tree import build_tree
from workers.formats.verity.values import BLOCK, VerityGeometry
from workers.layers.built import LayoutForm
from workers.layers.identity import verity_uuid
from workers.layers.spool import Lease, SpoolFile
from workers.layers.tarleaves import TarLeaves

#: Levels up to this size are held in memory; that of a 4 GiB layer's level above the leaves.
_HELD_LEVEL = 16 << 20


def geometry(index_size: int, tar_size: int, padding: int) -> VerityGeometry:
    """Where the parts of ``[index][tar][padding][superblock][levels]`` lie."""
    data_size = index_size + tar_size
    hash_offset = -(-data_size // padding) * padding
    tree_size, blocks = BLOCK, hash_offset // BLOCK
    while blocks > 1:
        blocks = -(-blocks // 16)
        tree_size += blocks * BLOCK
    return VerityGeometry(data_size, hash_offset, tree_size)


class Forest:
    """The hash trees of a layer in both layouts; the second shares all but its index's leaves."""

    def __init__(
        self, index: bytes, tar: TarLeaves, place: VerityGeometry, layer: Digest, lease: Lease
    ) -> None:
        """Build the tree of ``index`` in the ``device-table`` layout; raises ``SpoolExhausted``."""
        self._superblock = VeritySuperblock(verity_uuid(layer).bytes, place.data_blocks).encode()
        self._index = index
        leaves = tar.leaves(place.data_blocks - len(index) // BLOCK)
        self._tree = build_tree(bytes(block_hashes(index)), leaves, _stores(lease))
        self.device_table = LayoutForm(
            "device-table", index, self._tree.root.hex(), self._tree.extents(self._superblock)
        )

    @functools.cached_property
    def single_device(self) -> LayoutForm:
        """The ``single-device`` form."""
        index = single_device_form(self._index)
        tree = self._tree.with_head(bytes(block_hashes(index)))
        return LayoutForm("single-device", index, tree.root.hex(), tree.extents(self._superblock))


def _stores(lease: Lease) -> Callable[[int], ByteStore]:
    file: SpoolFile | None = None

    def store(size: int) -> ByteStore:
        nonlocal file
        if size <= _HELD_LEVEL:
            return HeldBytes()
        file = file or lease.create("levels")
        return file

    return store
