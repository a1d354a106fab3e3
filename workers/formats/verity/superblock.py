"""The dm-verity superblock (cryptsetup, ``lib/verity/verity.c``, ``struct verity_sb``).

It holds the parameters of the tree that follows it and lies outside the root hash.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from workers.formats.errors import FormatError
from workers.formats.verity.values import BLOCK, ZERO_SALT, Salt

# signature, version, hash_type, uuid, algorithm, data_block_size, hash_block_size, data_blocks,
# salt_size, salt; the rest of the block is zero.
_LAYOUT = struct.Struct("<8sII16s32sIIQH6x256s168x")
_SIGNATURE = b"verity\0\0"
_ALGORITHM = b"sha256"


@dataclass(frozen=True, slots=True)
class VeritySuperblock:
    """Parameters of a tree of ours: sha256, hash type 1, 512-byte blocks."""

    #: 16 bytes in text order; cryptsetup refuses zeros.
    uuid: bytes
    data_blocks: int
    salt: Salt = ZERO_SALT

    def encode(self) -> bytes:
        """Return the 512 bytes."""
        if len(self.uuid) != 16 or not any(self.uuid):
            raise ValueError("a verity UUID has 16 bytes that are not all zero")
        return _LAYOUT.pack(
            _SIGNATURE, 1, 1, self.uuid, _ALGORITHM, BLOCK, BLOCK, self.data_blocks,
            len(self.salt), self.salt,
        )  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> VeritySuperblock:
        """Read the first 512 bytes; raises ``FormatError`` for anything but our parameters."""
        if len(data) < BLOCK:
            raise FormatError(
                "verity-truncated", f"a verity superblock has 512 bytes, not {len(data)}"
            )
        fields = _LAYOUT.unpack(data[:BLOCK])
        signature, version, kind, uuid, algorithm, data_block, hash_block, blocks, n, salt = fields
        if signature != _SIGNATURE or version != 1:
            raise FormatError("verity-signature", "not a verity superblock of version 1")
        found = (kind, algorithm.rstrip(b"\0"), data_block, hash_block)
        if found != (1, _ALGORITHM, BLOCK, BLOCK):
            raise FormatError(
                "verity-parameters",
                f"hash type, algorithm and block sizes are {found}, not (1, sha256, 512, 512)",
            )
        if n > 256 or not any(uuid):
            raise FormatError("verity-parameters", "salt length or UUID is out of range")
        return cls(uuid=uuid, data_blocks=blocks, salt=Salt(salt[:n]))
