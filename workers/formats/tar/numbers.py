"""Numbers in tar headers and pax records, read as the C library calls of mkfs.erofs read them.

Rules: strtoll(3) base 8 on header fields, GNU base 256, sscanf(3) ``%d``/``%lld`` in pax records.
"""

from __future__ import annotations

from typing import Final

#: Returned for a field that does not parse; outside the range of every 64-bit number.
UNPARSABLE: Final = -(1 << 70)

_INT64_MAX: Final = (1 << 63) - 1
_INT64_MIN: Final = -(1 << 63)
_SPACES: Final = b" \t\n\v\f\r"


def octal(field: bytes) -> int:
    """An octal ``field``, or UNPARSABLE: what ends must be the field, a NUL or a space."""
    last = len(field) - 1
    if field[last] == 0 or field[last] == 32:
        if field[last - 1] == 0:  # checksums: six digits, NUL, space
            last -= 1
        digits = field[:last]
        if digits.isdigit():
            try:
                return int(digits, 8)
            except ValueError:  # an 8 or a 9; looking for them costs more than all the rest
                return _octal_slow(field)
    return _octal_slow(field)


def _octal_slow(field: bytes) -> int:
    end = field.find(b"\0")
    text = field if end < 0 else field[:end]
    size = len(text)
    at = 0
    while at < size and text[at] in _SPACES:
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


def scan_decimal(text: bytes, at: int) -> tuple[int, int]:
    """sscanf ``%lld %n`` from ``at``: (value, index behind number and spaces); index -1: none."""
    size = len(text)
    while at < size and text[at] in _SPACES:
        at += 1
    negative = False
    if at < size and text[at] in b"+-":
        negative = text[at] == 45
        at += 1
    start = at
    while at < size and 48 <= text[at] <= 57:
        at += 1
    if at == start:
        return 0, -1
    # Twenty digits and more saturate; the cut keeps hostile lengths from costing anything.
    digits = text[start:at].lstrip(b"0")[:20]
    value = int(digits) if digits else 0
    value = max(-value, _INT64_MIN) if negative else min(value, _INT64_MAX)
    while at < size and text[at] in _SPACES:
        at += 1
    return value, at
