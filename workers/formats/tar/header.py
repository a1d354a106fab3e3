"""The fields of a 512-byte tar header, cached where one header mostly repeats the last.

Sums are taken by zlib's adler32: its low half is one plus the sum of the bytes, exact below 65521,
which 256 bytes cannot exceed.
"""

from __future__ import annotations

from typing import Final
from zlib import adler32

from workers.formats.tar.numbers import UNPARSABLE, number, octal, signed32

CHECKSUM_RIGHT: Final = 0
CHECKSUM_UNPARSABLE: Final = 1
CHECKSUM_WRONG: Final = 2


class HeaderFields:
    """Parses one header after another; numbers that do not parse are UNPARSABLE."""

    def __init__(self, negative_base256: bool) -> None:
        self._negative_base256: bool = negative_base256
        self._tail: bytes = b""
        self._tail_sum: int = 0
        self._ids: bytes = b""
        #: The prefix field with a slash at its end, or empty.
        self.prefix: bytes = b""
        #: Permission bits, owner and group of the header last given to ``owners``.
        self.mode: int = 0
        self.uid: int = 0
        self.gid: int = 0

    def check(self, block: bytes) -> int:
        """One of the CHECKSUM values; the last twelve bytes do not count, as mkfs.erofs has it."""
        tail = block[256:500]
        if tail != self._tail:
            self._new_tail(tail)
        field = block[148:156]
        stored = octal(field)
        if stored == UNPARSABLE:
            return CHECKSUM_UNPARSABLE
        total = (
            (adler32(block[:256]) & 0xFFFF)
            - (adler32(field) & 0xFFFF)
            + self._tail_sum
            + 256  # eight spaces stand in for the field itself
        )
        if stored & 0xFFFF_FFFF == total or _signed_match(block, stored):
            return CHECKSUM_RIGHT
        return CHECKSUM_WRONG

    def _new_tail(self, tail: bytes) -> None:
        """Sum and prefix of bytes 256 to 499, which rarely change between entries."""
        self._tail = tail
        self._tail_sum = (adler32(tail) & 0xFFFF) - 1
        prefix = text(tail[89:])
        if prefix and not prefix.endswith(b"/"):
            prefix += b"/"
        self.prefix = prefix

    def owners(self, block: bytes) -> None:
        """Parse mode, uid and gid."""
        ids = block[100:124]
        if ids == self._ids:
            return
        self._ids = ids
        self.mode = octal(ids[:8])
        if self.mode != UNPARSABLE:
            self.mode &= 0o7777
        self.uid = number(ids[8:16], self._negative_base256)
        self.gid = number(ids[16:24], self._negative_base256)

    def size(self, block: bytes) -> int:
        """The size field."""
        return number(block[124:136], self._negative_base256)

    def mtime(self, block: bytes) -> int:
        """The mtime field."""
        return number(block[136:148], self._negative_base256)

    def device(self, block: bytes, wide: bool) -> int:
        """The encoded device number as 32 bits; bit 32 is set when some of it did not fit.

        Without ``wide``, as releases before 1.9.2 encode it, with the sign of a C int.
        """
        major = number(block[329:337], self._negative_base256)
        minor = number(block[337:345], self._negative_base256)
        if major == UNPARSABLE or minor == UNPARSABLE:
            return UNPARSABLE
        encoded = ((minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)) & 0xFFFF_FFFF
        if not wide and signed32(encoded) < 0:
            encoded |= 0xFFF0_0000
        fits = 0 <= major < 4096 and 0 <= minor < 1 << 20
        return encoded if fits else encoded | 1 << 32


def text(field: bytes) -> bytes:
    """``field`` as a C string: a NUL ends it."""
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def _signed_match(block: bytes, stored: int) -> bool:
    """True if the sum of the bytes as signed chars is ``stored`` (old Sun tars)."""
    total = 256
    for byte in block[:148] + block[156:500]:
        total += byte - 256 if byte > 127 else byte
    return (total - stored) & 0xFFFF_FFFF == 0
