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
from workers.formats.tarindex.runtime import (
    ODD_CHECKSUM,
    ODD_NUMBER,
    ignores_prefix,
    rest_remarks,
    runtime_number,
    runtime_octal,
    unlike_runtime,
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
        self._rest: bytes = b""
        self._rest_sum: i64 = 0
        self._rest_odd: i64 = 0
        self._ids: bytes = b""
        self._ids_odd: i64 = 0
        #: How the runtime reads this header otherwise: bits of ``runtime.REMARKS``.
        self.odd: i64 = 0
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
        tail = block[at + 157 : at + 512]
        if tail != self._tail:
            self._new_tail(tail)
        self.odd = self._rest_odd
        # Eight spaces stand in for the field itself; the type follows it.
        total = byte_sum(block, at, 148) + 256 + block[at + 156] + self._tail_sum
        if plain_checksum(block, at + 148) == total:
            return CHECKSUM_RIGHT
        stored = octal(block[at + 148 : at + 156])
        if stored == UNPARSABLE:
            return CHECKSUM_UNPARSABLE
        if stored & 0xFFFF_FFFF == total or _signed_match(block[at : at + 500], stored):
            if runtime_octal(block[at + 148 : at + 156]) != stored:
                self.odd |= ODD_CHECKSUM
            return CHECKSUM_RIGHT
        return CHECKSUM_WRONG

    def _new_tail(self, tail: bytes) -> None:
        """What bytes 157 to 511 say: a link's target, and the rest, which rarely changes."""
        self._tail = tail
        rest = tail[100:]
        if rest != self._rest:
            self._new_rest(rest)
        self._tail_sum = byte_sum(tail, 0, 100) + self._rest_sum
        self.link = text(tail[:100])

    def _new_rest(self, rest: bytes) -> None:
        self._rest = rest
        self._rest_sum = byte_sum(rest, 0, 243)
        self.ustar = rest[:5] == b"ustar"
        prefix = text(rest[88:243])
        if prefix and not prefix.endswith(b"/"):
            prefix += b"/"
        self.prefix = prefix
        self._rest_odd = rest_remarks(rest, self._negative_base256)

    def ignores_prefix(self) -> bool:
        """True if the runtime knows no prefix in the header last given to ``check``."""
        return ignores_prefix(self._rest)

    def owners(self, block: bytes, at: i64) -> None:
        """Parse mode, uid and gid."""
        ids = block[at + 100 : at + 124]
        if ids != self._ids:
            self._ids = ids
            self._ids_odd = 0
            plain = plain_octal8(block, at + 100)
            mode: int = plain
            if plain < 0:
                mode = octal(ids[:8])
                self._compare_ids(ids[:8], mode, 0o7777)
            self.mode = mode if mode == UNPARSABLE else mode & 0o7777
            self.uid = self._owner(block, at + 108)
            self.gid = self._owner(block, at + 116)
        self.odd |= self._ids_odd

    def _owner(self, block: bytes, at: i64) -> int:
        plain = plain_octal8(block, at)
        if plain >= 0:
            return plain
        field = block[at : at + 8]
        value = number(field, self._negative_base256)
        self._compare_ids(field, value, 0xFFFF_FFFF)
        return value

    def _compare_ids(self, field: bytes, value: int, mask: int) -> None:
        if unlike_runtime(field, value, mask):
            self._ids_odd = ODD_NUMBER

    def pass_over(self, block: bytes, at: i64, mtime: bool) -> None:
        """A field that mkfs.erofs does not read, mtime or size, must be one to the runtime."""
        start: i64 = at + 136 if mtime else at + 124
        if plain_octal12(block, start) < 0:
            value = runtime_number(block[start : start + 12])
            if value == UNPARSABLE or (value < 0 and not mtime):
                self.odd |= ODD_NUMBER

    def pass_over_all(self, block: bytes, at: i64) -> None:
        """The same for mode, owner, group and mtime: nothing reads them in an extension header."""
        start: i64 = at + 100
        while start < at + 124:
            if (
                plain_octal8(block, start) < 0
                and runtime_number(block[start : start + 8]) == UNPARSABLE
            ):
                self.odd |= ODD_NUMBER
            start += 8
        self.pass_over(block, at, True)

    def size(self, block: bytes, at: i64) -> int:
        """The size field."""
        return self._wide(block, at + 124)

    def mtime(self, block: bytes, at: i64) -> int:
        """The mtime field."""
        return self._wide(block, at + 136)

    def _wide(self, block: bytes, at: i64) -> int:
        plain = plain_octal12(block, at)
        if plain >= 0:
            return plain
        field = block[at : at + 12]
        value = number(field, self._negative_base256)
        if unlike_runtime(field, value, -1):
            self.odd |= ODD_NUMBER
        return value

    def device(self, block: bytes, at: i64, wide: bool) -> int:
        """The encoded device number as 32 bits; bit 32 is set when some of it did not fit.

        Without ``wide``, as releases before 1.9.2 encode it, with the sign of a C int.
        """
        major = number(block[at + 329 : at + 337], self._negative_base256)
        minor = number(block[at + 337 : at + 345], self._negative_base256)
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
