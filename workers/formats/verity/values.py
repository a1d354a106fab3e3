"""Value types of dm-verity; two byte strings that must not be swapped are two types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

#: Raw 32 bytes; its signed form is the 64 lowercase hex characters, without newline.
RootHash = NewType("RootHash", bytes)
Salt = NewType("Salt", bytes)

BLOCK = 512
DIGEST = 32
ZERO_SALT = Salt(bytes(32))


@dataclass(frozen=True, slots=True)
class VerityGeometry:
    """Where things lie in ``[index][tar][padding][superblock][levels, top first]``, in bytes."""

    #: Length of index + tar before padding.
    data_size: int
    #: Offset of the superblock: ``data_size`` rounded up to the padding (512 or 4096).
    hash_offset: int
    #: Superblock + all levels.
    tree_size: int

    @property
    def data_blocks(self) -> int:
        """Number of 512-byte data blocks, padding included."""
        return self.hash_offset // BLOCK
