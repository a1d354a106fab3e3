"""The Merkle tree of dm-verity over leaves that arrive in two parts.

Fan-out is 16: a 512-byte hash block holds 16 hashes of 32 bytes. The hash of a block is
sha256(salt + block); levels follow until one block is left, whose hash is the root. On disk the
superblock comes first, then the levels, top first (Documentation/admin-guide/device-mapper/
verity.rst; cryptsetup ``lib/verity/verity_hash.c``).

Data is ``[index][tar][padding]`` and the tar's leaves are known before the index is, so the leaf
level is a small *head* in memory and a large *tail* in a store. Another head of the same length,
that of the other index layout, changes only a prefix of each level: ``with_head`` shares the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workers.formats.verity.blocks import block_hashes
from workers.formats.verity.extents import ByteStore, Extent, chunks, held, skipped, total
from workers.formats.verity.values import BLOCK, DIGEST, ZERO_SALT, RootHash, Salt

_CHUNK = 1 << 20

Level = tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class HashTree:
    """Levels from the leaves up, each a whole number of blocks, and the root hash."""

    root: RootHash
    levels: tuple[Level, ...]
    salt: Salt
    #: Length of the head, in bytes: a multiple of 32.
    head_size: int

    def extents(self, superblock: bytes) -> tuple[Extent, ...]:
        """Return the tree blob: superblock, then the levels from the top."""
        blob = [held(superblock)]
        for level in reversed(self.levels):
            blob += level
        return tuple(blob)

    def with_head(self, head: bytes) -> HashTree:
        """Return the tree whose first leaves are ``head``, as many as before, sharing the rest."""
        if len(head) != self.head_size:
            raise ValueError("the new head has another length")
        if not head or not self.levels:
            return HashTree(
                RootHash(head) if head else self.root, self.levels, self.salt, len(head)
            )
        levels: list[Level] = []
        prefix = head
        for old in self.levels:
            # Hash blocks that the new prefix touches only in part are completed from the old ones.
            room = min(-len(prefix) % BLOCK, total(old) - len(prefix))
            rest = skipped(old, len(prefix))
            filled = prefix + next(chunks(rest, room), b"") if room else prefix
            levels.append((held(filled), *skipped(old, len(filled))))
            prefix = bytes(block_hashes(filled, self.salt))
        return HashTree(RootHash(prefix), tuple(levels), self.salt, self.head_size)


def build_tree(
    head: bytes, tail: Extent, store: Callable[[int], ByteStore], salt: Salt = ZERO_SALT
) -> HashTree:
    """Build the upper levels over ``head`` + ``tail`` leaves and the root hash.

    ``store(size)`` opens a store for a level of ``size`` bytes. Levels are streamed, so memory is
    bounded by what the stores hold. Raises ``ValueError`` without leaves.
    """
    leaves = total((held(head), tail))
    if not leaves or leaves % DIGEST:
        raise ValueError("there are no leaves, or half ones")
    if leaves == DIGEST:
        return HashTree(RootHash(head or tail.read(0, DIGEST)), (), salt, len(head))
    levels = [_filled((held(head), tail) if head else (tail,))]
    while (size := total(levels[-1])) > BLOCK:
        levels.append(_filled((_parent(levels[-1], size, store, salt),)))
    root = block_hashes(b"".join(chunks(levels[-1], BLOCK)), salt)
    return HashTree(RootHash(bytes(root)), tuple(levels), salt, len(head))


def _parent(level: Level, size: int, store: Callable[[int], ByteStore], salt: Salt) -> Extent:
    above = size // BLOCK * DIGEST
    out = store(above)
    offsets = [out.append(block_hashes(chunk, salt)) for chunk in chunks(level, _CHUNK)]
    return Extent(out, offsets[0], above)


def _filled(level: Level) -> Level:
    """Zero-fill to whole blocks."""
    room = -total(level) % BLOCK
    return (*level, held(bytes(room))) if room else level
