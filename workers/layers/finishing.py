"""When all of a layer has gone by: hash trees over index and tar, and the layer's facts."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.catalog.vocabulary import Layout
from app.facts import LayerFacts, WarnedKind
from app.oci.digest import Digest
from workers.formats.tarindex.singledevice import single_device_form
from workers.formats.tarindex.superblock import with_uuid
from workers.formats.tarindex.warning import TarWarning
from workers.formats.verity.blocks import block_hashes
from workers.formats.verity.extents import ByteStore, HeldBytes
from workers.formats.verity.superblock import VeritySuperblock
from workers.formats.verity.tree import HashTree, build_tree
from workers.formats.verity.values import BLOCK, VerityGeometry
from workers.layers.built import BuiltLayer, LayerOptions, LayoutForm, SpooledTree
from workers.layers.identity import erofs_uuid, verity_uuid
from workers.layers.onepass import ReadLayer
from workers.layers.spool import Lease, SpoolFile
from workers.layers.tarleaves import TarLeaves

#: Levels up to this size are held in memory; that of a 4 GiB layer's level above the leaves.
_HELD_LEVEL = 16 << 20
#: Of a layer's warnings, as many texts are recorded, of this many characters; all are counted.
_RECORDED_WARNINGS, _RECORDED_TEXT = 20, 300


def finish(read: ReadLayer, options: LayerOptions, lease: Lease) -> BuiltLayer:
    """Build the trees of a layer that was read; raises ``SpoolExhausted``."""
    started = time.perf_counter()
    source = options.layer_digest or read.layer_digest
    uuid = options.uuid or erofs_uuid(source)
    index = read.index.data
    if read.index_uuid is None:
        index = with_uuid(index, uuid.bytes)
    place = geometry(len(index), read.tar.size, options.padding)
    trees = LayerTrees(index, read.tar, place, source, lease)
    form = trees.device_table
    single = trees.single_device().root_hash if options.single_device else None
    facts = LayerFacts(
        layer_digest=read.layer_digest,
        layer_size=read.layer_size,
        diff_id=read.diff_id,
        tar_size=read.tar.size,
        builder_version=options.builder_version,
        padding=options.padding,
        uuid=str(uuid),
        index_digest=form.index_digest,
        index_size=len(index),
        tree_digest=form.tree.digest,
        tree_size=form.tree.size,
        root_hash=form.root_hash,
        single_device_root_hash=single,
        data_size=place.data_size,
        hash_offset=place.hash_offset,
        entries=read.index.entries,
        warnings=tuple(map(_text, read.index.warnings[:_RECORDED_WARNINGS])),
        warned=tuple(
            WarnedKind(each.first.kind, each.count, _text(each.first)) for each in read.index.counts
        ),
    )
    spent = time.perf_counter() - started
    timings = {**read.timings, "tree": spent, "total": read.timings["stream"] + spent}
    return BuiltLayer(facts, form, read.index.warnings, timings, trees.single_device, lease.close)


def _text(warning: TarWarning) -> str:
    return f"{warning.kind}: {warning.entry}: {warning.message}"[:_RECORDED_TEXT]


def geometry(index_size: int, tar_size: int, padding: int) -> VerityGeometry:
    """Where the parts of ``[index][tar][padding][superblock][levels]`` lie."""
    data_size = index_size + tar_size
    hash_offset = -(-data_size // padding) * padding
    tree_size, blocks = BLOCK, hash_offset // BLOCK
    while blocks > 1:
        blocks = -(-blocks // 16)
        tree_size += blocks * BLOCK
    return VerityGeometry(data_size, hash_offset, tree_size)


class LayerTrees:
    """The hash trees of a layer in both layouts; the second shares all but its index's leaves."""

    def __init__(
        self, index: bytes, tar: TarLeaves, place: VerityGeometry, layer: Digest, lease: Lease
    ) -> None:
        """Build the tree of ``index`` in the ``device-table`` layout; raises ``SpoolExhausted``."""
        self._superblock = VeritySuperblock(verity_uuid(layer).bytes, place.data_blocks).encode()
        self._index = index
        leaves = tar.leaves(place.data_blocks - len(index) // BLOCK)
        self._tree = build_tree(bytes(block_hashes(index)), leaves, _stores(lease))
        self.device_table = self._form("device-table", index, self._tree)

    def single_device(self) -> LayoutForm:
        """Make the ``single-device`` form, at the cost of a walk over the index."""
        index = single_device_form(self._index)
        tree = self._tree.with_head(bytes(block_hashes(index)))
        return self._form("single-device", index, tree)

    def _form(self, layout: Layout, index: bytes, tree: HashTree) -> LayoutForm:
        extents = tree.extents(self._superblock)
        return LayoutForm(layout, index, tree.root.hex(), SpooledTree(extents))


def _stores(lease: Lease) -> Callable[[int], ByteStore]:
    file: SpoolFile | None = None

    def store(size: int) -> ByteStore:
        nonlocal file
        if size <= _HELD_LEVEL:
            return HeldBytes()
        file = file or lease.create("levels")
        return file

    return store
