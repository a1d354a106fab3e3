"""The tar as it streams by: its diffID, its size, and its verity leaves in a scratch file."""

from __future__ import annotations

from app.oci.digest import DiffID
from workers.formats.verity.blocks import DeferredDigest, LeafHasher, block_hashes
from workers.formats.verity.extents import Extent
from workers.formats.verity.values import BLOCK, DIGEST
from workers.layers.decompression import Piece
from workers.layers.spool import SpoolFile

_ZERO_BLOCK = bytes(BLOCK)


class TarLeaves:
    """Fed with every piece of the tar, then closed."""

    def __init__(self, file: SpoolFile, beside: DeferredDigest | None = None) -> None:
        """Write leaves to ``file``, which is empty.

        What waits in ``beside`` is hashed along with the tar.
        """
        self._file = file
        self._beside = beside
        self._leaves = LeafHasher()
        self.size = 0

    def feed(self, piece: Piece) -> None:
        """Take the next bytes; raises ``SpoolExhausted``."""
        self.size += len(piece)
        if leaves := self._leaves.update(piece, self._beside):
            self._file.append(leaves)

    def close(self) -> DiffID:
        """End the tar; return the digest of all that was fed."""
        self._file.append(self._leaves.finish())
        return DiffID("sha256:" + self._leaves.hexdigest())

    def leaves(self, blocks: int) -> Extent:
        """Return the leaves of the tar, zero-filled to ``blocks`` blocks; after ``close``."""
        self._file.append(block_hashes(_ZERO_BLOCK * (blocks - self._leaves.count)))
        return Extent(self._file, 0, blocks * DIGEST)
