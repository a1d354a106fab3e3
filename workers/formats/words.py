"""Numbers by machine words: the only module that knows what makes hot code fast, and the reasons.

Headers and inodes come by the hundred thousand, a dozen numbers each. What costs is not the work
but the objects: a slice to read a field, an ``int`` to hold it, a tuple and a ``struct`` call to
write it. So the hot modules are compiled by mypyc, and there

- an ``i64`` is a register, where an ``int`` is tested for being a big one at every step;
- ``librt.strings`` reads a number where it lies in ``bytes``, without a slice;
- ``librt.vecs.vec`` is a C array; a ``bytearray`` would take one boxed byte at a time.

librt is mypyc's run-time library and calls itself alpha. Nothing but this module imports it (an
import contract), so it can be replaced here.

Interpreted, the same code computes the same: ``i64`` is then a plain ``int``. For that, nothing may
rely on a number that overflows its word, in either form. And a literal may not be shifted, not even
by way of a variable: mypyc makes it a C int of 32 bits. ``shifted`` is for that.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import (
    BytesWriter,
    read_i16_le,
    read_i32_le,
    read_i64_be,
    read_i64_le,
    write_i16_le,
    write_i32_le,
    write_i64_le,
)
from librt.vecs import vec
from mypy_extensions import i32, i64

_INT64_MAX: Final = (1 << 63) - 1


def shifted(value: i64, bits: i64) -> i64:
    """``value << bits``, also for a literal."""
    return value << bits


def signed64(value: int) -> int:
    """The low 64 bits of ``value`` as a two's complement number."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    return value - (1 << 64) if value > _INT64_MAX else value


def signed32(value: int) -> int:
    """The low 32 bits of ``value`` as a two's complement number."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value > 0x7FFF_FFFF else value


def unsigned(data: bytes, at: i64, size: i64) -> int:
    """The little-endian number of ``size`` bytes (1, 2, 4 or 8) at ``at``.

    Raises IndexError where it is not all there; a negative ``at`` is not allowed.
    """
    number: int
    if size == 4:
        number = read_i32_le(data, at)
        return number & 0xFFFF_FFFF
    if size == 2:
        number = read_i16_le(data, at)
        return number & 0xFFFF
    if size == 8:
        number = read_i64_le(data, at)
        return number if number >= 0 else number + (1 << 64)
    return data[at]


#: Eight ASCII zeros, and the bits that no octal digit has once its zero is taken off.
_ZEROS: Final = 0x3030_3030_3030_3030
_NOT_OCTAL: Final = -0x0707_0707_0707_0708


def octal_digits(data: bytes, at: i64, count: i64) -> i64:
    """The value of ``count`` (1 to 8) ASCII octal digits at ``at``; -1 if one is no digit.

    Eight bytes are read at once, so as many must be there. Bytes behind the digits count as zeros;
    then neighbours are joined: digits of three bits to pairs, to fours, to all eight.
    """
    behind: i64 = (8 - count) << 3
    zeros: i64 = _ZEROS
    word = (read_i64_be(data, at) ^ zeros) >> behind << behind
    if word & _NOT_OCTAL != 0:
        return -1
    word = (word & 0x0007_0007_0007_0007) + ((word & 0x0700_0700_0700_0700) >> 5)
    word = (word & 0x0000_003F_0000_003F) + ((word & 0x003F_0000_003F_0000) >> 10)
    word = (word & 0xFFF) + ((word & 0x0000_0FFF_0000_0000) >> 20)
    return word >> (24 - 3 * count)


#: Every other byte of a word.
_EVEN: Final = 0x00FF_00FF_00FF_00FF


def byte_sum(data: bytes, at: i64, size: i64) -> i64:
    """The sum of ``size`` bytes from ``at`` on, at most 512.

    Four sums of 16 bits run side by side in a word; 64 words leave the highest bit of each alone.
    """
    lanes: i64 = 0
    end = at + size
    last = end - 8
    while at <= last:
        word = read_i64_le(data, at)
        lanes += (word & _EVEN) + (word >> 8 & _EVEN)
        at += 8
    if 4 <= at <= end - 4:  # half a word: read with what is in front, for data may end here
        word = read_i64_le(data, at - 4) >> 32
        lanes += (word & 0x00FF_00FF) + (word >> 8 & 0x00FF_00FF)
        at += 4
    total = (lanes & 0xFFFF) + (lanes >> 16 & 0xFFFF) + (lanes >> 32 & 0xFFFF)
    total += lanes >> 48 & 0xFFFF
    while at < end:
        total += data[at]
        at += 1
    return total


def _word32(value: i64) -> int:
    """The low 32 bits of ``value``, as the signed number that an element of ``vec[i32]`` is."""
    return ((value & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000


@final
class WordArray:
    """Zeroed bytes to be filled with little-endian numbers, each at a multiple of its size.

    Kept as words of four bytes: on disk, all but 64-bit numbers lie within one. Methods raise
    IndexError outside the array.
    """

    def __init__(self, size: i64) -> None:
        """``size`` is in bytes, a multiple of four."""
        self._words: vec[i32] = vec[i32]([0] * (size >> 2))

    def data(self) -> bytes:
        """All of it."""
        return bytes(memoryview(self._words))

    def piece(self, at: int, size: int) -> bytes:
        """``size`` bytes from ``at`` on, both multiples of four."""
        return bytes(memoryview(self._words)[at // 4 : (at + size) // 4])

    def put(self, at: i64, size: i64, value: i64) -> None:
        """Write the low ``size`` bytes (1, 2, 4 or 8) of ``value``."""
        words = self._words
        word = at >> 2
        if size == 4:
            words[word] = _word32(value)
        elif size == 8:
            words[word] = _word32(value)
            words[word + 1] = _word32(value >> 32)
        else:
            mask: i64 = 0xFFFF
            if size == 1:
                mask = 0xFF
            shift = (at & 3) << 3
            others: int = words[word]
            words[word] = _word32((others & ~(mask << shift)) | (value & mask) << shift)

    def put_bytes(self, at: i64, data: bytes) -> None:
        """Write ``data``; ``at`` is a multiple of four."""
        words = self._words
        size: i64 = len(data)
        word = at >> 2
        done: i64 = 0
        while done + 4 <= size:
            words[word] = read_i32_le(data, done)
            word += 1
            done += 4
        while done < size:
            self.put(at + done, 1, data[done])
            done += 1


@final
class ByteQueue:
    """Bytes that grow at their end."""

    def __init__(self) -> None:
        self._writer = BytesWriter()

    def append(self, size: i64, value: i64) -> None:
        """Add the low ``size`` bytes (1, 2, 4 or 8) of ``value``, little-endian."""
        if size == 8:
            write_i64_le(self._writer, value)
        elif size == 4:
            write_i32_le(self._writer, _word32(value))
        elif size == 2:
            short: int = ((value & 0xFFFF) ^ 0x8000) - 0x8000
            write_i16_le(self._writer, short)
        else:
            byte: int = value & 0xFF
            self._writer.append(byte)

    def write(self, data: bytes) -> None:
        """Add ``data``."""
        self._writer.write(data)

    def getvalue(self) -> bytes:
        """All of it."""
        return self._writer.getvalue()


@final
class BitSet:
    """A set of numbers from 0 on, a bit each, 32 to a word."""

    def __init__(self, size: i64) -> None:
        """For numbers below ``size``, a multiple of 32."""
        self._words: vec[i64] = vec[i64]([0] * (size >> 5))

    def flip(self, number: i64) -> None:
        """Add ``number`` if it is not in the set, else take it out."""
        word = number >> 5
        self._words[word] = self._words[word] ^ shifted(1, number & 31)

    def highest(self, lowest: i64, number: i64) -> i64:
        """The highest member from ``number`` down to ``lowest``; -1: there is none."""
        if number < lowest:
            return -1
        at = number >> 5
        word = self._words[at] & (shifted(2, number & 31) - 1)
        while word == 0:
            at -= 1
            if at < lowest >> 5:
                return -1
            word = self._words[at]
        found = (at << 5) + _highest_bit(word)
        if found < lowest:
            return -1
        return found


def _highest_bit(word: i64) -> i64:
    """The number of the highest bit that is set in ``word``, of which one of the low 32 is."""
    bit: i64 = 0
    if word > 0xFFFF:
        word >>= 16
        bit += 16
    if word > 0xFF:
        word >>= 8
        bit += 8
    if word > 0xF:
        word >>= 4
        bit += 4
    if word > 3:
        word >>= 2
        bit += 2
    return bit + 1 if word > 1 else bit
