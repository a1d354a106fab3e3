"""Numbers in tar headers and pax records, read as the C library calls of mkfs.erofs read them.

Rules: strtoll(3) base 8 on header fields, GNU base 256, sscanf(3) ``%d``/``%lld`` in pax records.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from workers.formats.words import octal_digits, signed64

#: Returned for a field that does not parse; outside the range of every 64-bit number.
UNPARSABLE: Final = -(1 << 70)

_INT64_MAX: Final = (1 << 63) - 1
_INT64_MIN: Final = -(1 << 63)


def plain_octal8(block: bytes, at: i64) -> i64:
    """The field of eight bytes ``at``, if it is seven digits and a NUL or space; else -1."""
    if block[at + 7] & 0xDF != 0:
        return -1
    return octal_digits(block, at, 7)


def plain_octal12(block: bytes, at: i64) -> i64:
    """The field of twelve bytes ``at``, if it is eleven digits and a NUL or space; else -1."""
    high = octal_digits(block, at, 8)
    low = octal_digits(block, at + 3, 8)
    if high < 0 or low < 0 or block[at + 11] & 0xDF != 0:
        return -1
    return high << 9 | (low & 0x1FF)  # five digits stand in both


def plain_checksum(block: bytes, at: i64) -> i64:
    """The field of eight bytes ``at``, if it is six digits, a NUL and a space; else -1."""
    if block[at + 6] != 0 or block[at + 7] != 32:
        return -1
    return octal_digits(block, at, 6)


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
