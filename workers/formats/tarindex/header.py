"""The fields of a 512-byte tar header, cached where one header mostly repeats the last.

Headers are read where they lie in a larger buffer, by eight bytes at once: a slice or a boxed
number for each field of each header would cost more than all the rest.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from workers.formats.tarindex.numbers import (
    UNPARSABLE,
    number,
    octal,
    plain_checksum,
    plain_octal8,
    plain_octal12,
)
from workers.formats.words import byte_sum, signed32

CHECKSUM_RIGHT: Final = 0
CHECKSUM_UNPARSABLE: Final = 1
CHECKSUM_WRONG: Final = 2


class HeaderFields:
    """Parses one header after another; numbers that do not parse are UNPARSABLE.

    Methods take the header's buffer and its offset there; all 512 bytes must be there.
    """

    def __init__(self, negative_base256: bool) -> None:
        self._negative_base256: bool = negative_base256
        self._tail: bytes = b""
        self._tail_sum: i64 = 0
        self._ids: bytes = b""
        #: Of the header last given to ``check``: the prefix field with a slash at its end, or
        #: empty; the linkname field up to a NUL; whether it is a ustar header.
        self.prefix: bytes = b""
        self.link: bytes = b""
        self.ustar: bool = False
        #: Permission bits, owner and group of the header last given to ``owners``.
        self.mode: int = 0
        self.uid: int = 0
        self.gid: int = 0

    def check(self, block: bytes, at: i64) -> int:
        """One of the CHECKSUM values; the last twelve bytes do not count, as mkfs.erofs has it."""
        tail = block[at + 157 : at + 500]
        if tail != self._tail:
            self._new_tail(tail)
        # Eight spaces stand in for the field itself; the type follows it.
        total = byte_sum(block, at, 148) + 256 + block[at + 156] + self._tail_sum
        if plain_checksum(block, at + 148) == total:
            return CHECKSUM_RIGHT
        stored = octal(block[at + 148 : at + 156])
        if stored == UNPARSABLE:
            return CHECKSUM_UNPARSABLE
        if stored & 0xFFFF_FFFF == total or _signed_match(block[at : at + 500], stored):
            return CHECKSUM_RIGHT
        return CHECKSUM_WRONG

    def _new_tail(self, tail: bytes) -> None:
        """What bytes 157 to 499 say, which rarely change between headers."""
        self._tail = tail
        self._tail_sum = byte_sum(tail, 0, len(tail))
        self.link = text(tail[:100])
        self.ustar = tail[100:105] == b"ustar"
        prefix = text(tail[188:])
        if prefix and not prefix.endswith(b"/"):
            prefix += b"/"
        self.prefix = prefix

    def owners(self, block: bytes, at: i64) -> None:
        """Parse mode, uid and gid."""
        ids = block[at + 100 : at + 124]
        if ids == self._ids:
            return
        self._ids = ids
        plain = plain_octal8(block, at + 100)
        mode: int = plain if plain >= 0 else octal(ids[:8])
        self.mode = mode if mode == UNPARSABLE else mode & 0o7777
        self.uid = self._owner(block, at + 108)
        self.gid = self._owner(block, at + 116)

    def _owner(self, block: bytes, at: i64) -> int:
        plain = plain_octal8(block, at)
        return plain if plain >= 0 else number(block[at : at + 8], self._negative_base256)

    def size(self, block: bytes, at: i64) -> int:
        """The size field."""
        return self._wide(block, at + 124)

    def mtime(self, block: bytes, at: i64) -> int:
        """The mtime field."""
        return self._wide(block, at + 136)

    def _wide(self, block: bytes, at: i64) -> int:
        plain = plain_octal12(block, at)
        return plain if plain >= 0 else number(block[at : at + 12], self._negative_base256)

    def device(self, block: bytes, at: i64, wide: bool) -> int:
        """The encoded device number as 32 bits; bit 32 is set when some of it did not fit.

        Without ``wide``, as releases before 1.9.2 encode it, with the sign of a C int.
        """
        major = self._owner(block, at + 329)
        minor = self._owner(block, at + 337)
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
