"""Checks of a bundle's index and tree that need no layer: identity, parameters, hashes.

The tar's leaves are believed here; ``rebuild`` checks those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.oci.digest import Digest
from workers.formats.erofs.reader import ImageReader
from workers.formats.errors import FormatError
from workers.formats.verity.blocks import block_hashes
from workers.formats.verity.superblock import VeritySuperblock
from workers.formats.verity.values import BLOCK, DIGEST, ZERO_SALT
from workers.layers.identity import erofs_uuid, verity_uuid

Problem = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TreeExcerpt:
    """What is needed of a tree blob, however large: head, size and the index's leaves."""

    size: int
    superblock: bytes
    top: bytes
    index_leaves: bytes


def level_sizes(data_blocks: int) -> list[int]:
    """Bytes of each level, leaves first, for a number of 512-byte data blocks."""
    sizes, hashes = [], data_blocks
    while hashes > 1:
        blocks = -(-hashes * DIGEST // BLOCK)
        sizes.append(blocks * BLOCK)
        hashes = blocks
    return sizes


def excerpt(chunks: Iterable[bytes], index_size: int) -> TreeExcerpt:
    """Read a tree blob once, keeping what ``tree_problems`` needs."""
    head = bytearray()
    leaves = bytearray()
    start: int | None = None
    wanted = index_size // BLOCK * DIGEST
    at = 0
    for chunk in chunks:
        if len(head) < 2 * BLOCK:
            head += chunk[: 2 * BLOCK - len(head)]
            if start is None and len(head) >= BLOCK:
                start = _leaf_offset(bytes(head[:BLOCK]))
        if start is not None and len(leaves) < wanted and at + len(chunk) > start:
            begin = max(0, start + len(leaves) - at)
            leaves += chunk[begin : begin + wanted - len(leaves)]
        at += len(chunk)
    return TreeExcerpt(at, bytes(head[:BLOCK]), bytes(head[BLOCK:]), bytes(leaves))


def _leaf_offset(superblock: bytes) -> int:
    try:
        blocks = VeritySuperblock.parse(superblock).data_blocks
    except FormatError:
        return 0
    return BLOCK + sum(level_sizes(blocks)[1:])


def index_problems(index: bytes, layer: Digest) -> Iterator[Problem]:
    """Check an index's superblock: checksum, block size, identity, one device."""
    try:
        superblock = ImageReader(index).superblock
    except FormatError as error:
        yield "index", str(error)
        return
    if not superblock.checksum_valid:
        yield "index", "the superblock's checksum is wrong"
    if superblock.uuid != erofs_uuid(layer).bytes:
        yield "uuid", f"the index's UUID is not derived from {layer}"
    if superblock.extra_devices != 1:
        yield "index", f"{superblock.extra_devices} extra devices, a tar index has 1"


def tree_problems(
    tree: TreeExcerpt, index: bytes, layer: Digest, root_hash: str | None, padding: int | None
) -> Iterator[Problem]:
    """Check a tree's parameters, its top against the root hash, its leaves against the index."""
    try:
        superblock = VeritySuperblock.parse(tree.superblock)
    except FormatError as error:
        yield "tree", str(error)
        return
    if superblock.uuid != verity_uuid(layer).bytes:
        yield "uuid", f"the tree's UUID is not derived from {layer}"
    if superblock.salt != ZERO_SALT:
        yield "tree", "the salt is not 32 zero bytes"
    size = BLOCK + sum(level_sizes(superblock.data_blocks))
    if tree.size != size or len(tree.top) != BLOCK:
        yield "tree", f"{tree.size} bytes, {superblock.data_blocks} data blocks need {size}"
        return
    if superblock.data_blocks * BLOCK < len(index) or len(index) % BLOCK:
        yield "tree", "it does not cover whole blocks of the index"
        return
    if padding and superblock.data_blocks * BLOCK % padding:
        yield "padding", f"the data area is not a multiple of {padding} bytes"
    if root_hash is not None and bytes(block_hashes(tree.top, ZERO_SALT)).hex() != root_hash:
        yield "root-hash", f"the tree's root is not {root_hash}"
    if tree.index_leaves != bytes(block_hashes(index, ZERO_SALT)):
        yield "tree", "its leaves do not belong to the index"
