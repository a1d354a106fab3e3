"""A hash tree that was downloaded: proved against a root hash, then used in place.

The leaf level is what matters: everything above is recomputed from it, chunk by chunk, and must be
what the file says, up to the root. After that each leaf may be believed as the root hash is.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from app.errors import VerificationFailed
from app.oci.digest import Digest
from workers.formats.errors import FormatError
from workers.formats.verity.blocks import Buffer, block_hashes
from workers.formats.verity.extents import Extent, chunks
from workers.formats.verity.superblock import VeritySuperblock
from workers.formats.verity.tree import HashTree, Level
from workers.formats.verity.values import BLOCK, DIGEST, ZERO_SALT, RootHash
from workers.layers.identity import verity_uuid
from workers.verification.content import level_sizes

_CHUNK = 1 << 20


class TreeFile:
    """A tree blob on disk, readable at any offset."""

    def __init__(self, path: Path) -> None:
        """Open the file; ``close`` it."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._fd).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes at ``offset``."""
        return os.pread(self._fd, size, offset)

    def append(self, data: Buffer) -> int:
        """Refuse: the file is what was downloaded."""
        raise OSError("a downloaded tree is not written to")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def proved_tree(file: TreeFile, layer: Digest, root_hash: str, head_size: int) -> HashTree:
    """Return the tree in ``file`` once it is proved to have ``root_hash``.

    ``head_size`` is the length of the index's leaves, in bytes. Raises ``VerificationFailed``.
    """
    superblock = _superblock(file, layer)
    sizes = level_sizes(superblock.data_blocks)
    if file.size != BLOCK + sum(sizes):
        raise VerificationFailed(
            f"tree of {layer}: {file.size} bytes, its {superblock.data_blocks} data blocks need "
            f"{BLOCK + sum(sizes)}"
        )
    levels: list[Level] = []
    end = file.size
    for size in sizes:
        end -= size
        levels.append((Extent(file, end, size),))
    if not levels or head_size > superblock.data_blocks * DIGEST:
        raise VerificationFailed(f"tree of {layer} covers less than its index")
    for level, above in pairwise(levels):
        _check_level(level, above, layer)
    root = bytes(block_hashes(b"".join(chunks(levels[-1], BLOCK))))
    if root.hex() != root_hash:
        raise VerificationFailed(f"tree of {layer} has root {root.hex()}, not {root_hash}")
    return HashTree(RootHash(root), tuple(levels), ZERO_SALT, head_size)


def data_blocks(file: TreeFile, layer: Digest) -> int:
    """Number of 512-byte blocks the tree covers, as its superblock says."""
    return _superblock(file, layer).data_blocks


def _superblock(file: TreeFile, layer: Digest) -> VeritySuperblock:
    try:
        superblock = VeritySuperblock.parse(file.read_at(0, BLOCK))
    except FormatError as error:
        raise VerificationFailed(f"tree of {layer}: {error}") from None
    if superblock.salt != ZERO_SALT:
        raise VerificationFailed(f"tree of {layer}: the salt is not 32 zero bytes")
    if superblock.uuid != verity_uuid(layer).bytes:
        raise VerificationFailed(f"tree of {layer}: its UUID is another layer's")
    return superblock


def _check_level(level: Level, above: Level, layer: Digest) -> None:
    """Raise unless ``above`` holds the hashes of ``level``'s blocks, zero-filled."""
    at = 0
    for chunk in chunks(level, _CHUNK):
        hashes = bytes(block_hashes(chunk))
        if above[0].read(at, len(hashes)) != hashes:
            raise VerificationFailed(f"tree of {layer}: its levels do not belong together")
        at += len(hashes)
    if any(above[0].read(at, above[0].length - at)):
        raise VerificationFailed(f"tree of {layer}: its levels do not belong together")
