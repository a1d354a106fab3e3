"""Numbers in tar headers and pax records, read as the C library calls of mkfs.erofs read them.

Rules: strtoll(3) base 8 on header fields, GNU base 256, sscanf(3) ``%d``/``%lld`` in pax records.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

#: Returned for a field that does not parse; outside the range of every 64-bit number.
UNPARSABLE: Final = -(1 << 70)

_INT64_MAX: Final = (1 << 63) - 1
_INT64_MIN: Final = -(1 << 63)


#: Eight ASCII zeros as one number, and the bits that no octal digit has, once they are taken off.
_ZEROS: Final = 0x3030_3030_3030_3030
_NOT_OCTAL: Final = -0x0707_0707_0707_0708


def _eight_digits(word: i64) -> i64:
    """The value of eight octal digits, read big-endian as one number; -1 if some is no digit.

    Digits become numbers of two digits, of four, of eight, all side by side in one word.
    """
    word ^= _ZEROS
    if word & _NOT_OCTAL != 0:
        return -1
    word = (word & 0x0007_0007_0007_0007) + ((word & 0x0700_0700_0700_0700) >> 5)
    word = (word & 0x0000_003F_0000_003F) + ((word & 0x003F_0000_003F_0000) >> 10)
    return (word & 0xFFF) + ((word & 0x0000_0FFF_0000_0000) >> 20)


def plain_octal8(block: bytes, at: i64) -> i64:
    """The field of eight bytes ``at``, if it is seven digits and a NUL or space; else -1."""
    word = read_i64_be(block, at)
    if word & 0xDF != 0:
        return -1
    return _eight_digits((word & -0x100) | 0x30) >> 3


def plain_octal12(block: bytes, at: i64) -> i64:
    """The field of twelve bytes ``at``, if it is eleven digits and a NUL or space; else -1."""
    high = _eight_digits(read_i64_be(block, at))
    low = _eight_digits(read_i64_be(block, at + 3))
    if high < 0 or low < 0 or block[at + 11] & 0xDF != 0:
        return -1
    return high << 9 | (low & 0x1FF)  # five digits stand in both


def plain_checksum(block: bytes, at: i64) -> i64:
    """The field of eight bytes ``at``, if it is six digits, a NUL and a space; else -1."""
    word = read_i64_be(block, at)
    if word & 0xFFFF != 0x0020:
        return -1
    return _eight_digits((word & -0x10000) | 0x3030) >> 6


def octal(field: bytes) -> int:
    """An octal ``field``, or UNPARSABLE: what ends must be the field, a NUL or a space."""
    end = field.find(b"\0")
    text = field if end < 0 else field[:end]
    size = len(text)
    at = 0
    while at < size and is_space(text[at]):
        at += 1
    negative = False
    if at < size and text[at] in b"+-":
        negative = text[at] == 45
        at += 1
    start = at
    value = 0
    while at < size and 48 <= text[at] <= 55:
        value = value * 8 + text[at] - 48
        at += 1
    if at == start:  # no digits: strtoll leaves its end pointer at the field's first byte
        return 0 if text[:1] == b" " else UNPARSABLE
    if at < size and text[at] != 32:
        return UNPARSABLE
    return -value if negative else value


def signed64(value: int) -> int:
    """The low 64 bits of ``value`` as a two's complement number."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    return value - (1 << 64) if value > _INT64_MAX else value


def signed32(value: int) -> int:
    """The low 32 bits of ``value`` as a two's complement number."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value > 0x7FFF_FFFF else value


def number(field: bytes, negative_base256: bool) -> int:
    """An octal or base-256 ``field`` (first byte 0x80, or 0xFF when allowed), or UNPARSABLE."""
    first = field[0]
    if first == 0x80 or (first == 0xFF and negative_base256):
        return signed64(int.from_bytes(field[1:], "big"))
    return octal(field)


def is_space(byte: i64) -> bool:
    """True for what isspace(3) takes for white space."""
    return byte == 32 or 9 <= byte <= 13


def scan_decimal(text: bytes, start: i64) -> tuple[int, int]:
    """sscanf ``%lld %n`` from ``start``: (value, index behind number and spaces), or (0, -1)."""
    size: i64 = len(text)
    at = start
    while at < size and is_space(text[at]):
        at += 1
    negative = False
    if at < size and (text[at] == 45 or text[at] == 43):
        negative = text[at] == 45
        at += 1
    first = at
    short: i64 = 0  # of the first eighteen digits, which always fit
    while at < size and 48 <= text[at] <= 57:
        if at - first < 18:
            short = short * 10 + (text[at] - 48)
        at += 1
    if at == first:
        return 0, -1
    value: int = short
    if at - first > 18:
        # Twenty digits and more saturate; the cut keeps hostile lengths from costing anything.
        digits = text[first:at].lstrip(b"0")[:20]
        value = int(digits) if digits else 0
    value = max(-value, _INT64_MIN) if negative else min(value, _INT64_MAX)
    while at < size and is_space(text[at]):
        at += 1
    return value, at
