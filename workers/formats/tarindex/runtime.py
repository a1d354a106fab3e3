"""What the container runtime reads where mkfs.erofs reads in its own way.

The runtime is Go's archive/tar (strconv.go, reader.go) as containerd's unpack uses it. Nothing here
decides what an index holds; it tells where the runtime would show something else, or refuse.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from workers.formats.tarindex.numbers import UNPARSABLE, number

_INT64_MAX: Final = (1 << 63) - 1

#: Remarks on a header, as bits: the kinds of warning that follow from it.
ODD_NUMBER: Final = 1
ODD_CHECKSUM: Final = 2
ODD_MAGIC: Final = 4
#: Of a device or fifo.
ODD_DEVICE: Final = 8
REMARKS: Final[tuple[tuple[int, str], ...]] = (
    (ODD_NUMBER, "header-number"),
    (ODD_CHECKSUM, "header-checksum"),
    (ODD_MAGIC, "header-magic"),
    (ODD_DEVICE, "header-number"),
)

_USTAR: Final = b"ustar\0"
_GNU: Final = b"ustar  \0"
#: Device numbers of a file that is no device, as most writers leave them.
_NO_DEVICES: Final = b"0000000\x000000000\0"
_EMPTY_DEVICES: Final = bytes(16)
_UNUSED: Final = bytes(12)


def runtime_octal(field: bytes) -> int:
    """An octal ``field``, or UNPARSABLE; spaces and NULs around it do not count."""
    digits = field.strip(b" \0")
    if not digits:
        return 0
    end = digits.find(b"\0")
    if end >= 0:
        digits = digits[:end]
    value = 0
    for digit in digits:
        if not 48 <= digit <= 55:
            return UNPARSABLE
        value = value * 8 + digit - 48
    return value


def runtime_number(field: bytes) -> int:
    """An octal or base-256 ``field``, or UNPARSABLE: two's complement in all bits but the first."""
    if field[0] < 0x80:
        return runtime_octal(field)
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if value >> (bits - 1):
        value -= 1 << bits
    return value if -_INT64_MAX - 1 <= value <= _INT64_MAX else UNPARSABLE


def unlike_runtime(field: bytes, value: int, mask: int) -> bool:
    """True if the runtime refuses what mkfs.erofs reads as ``value``, or other bits of ``mask``."""
    if value == UNPARSABLE:
        return False
    read = runtime_number(field)
    return read == UNPARSABLE or (read ^ value) & mask != 0


def is_strict(text: bytes, end: i64, value: int) -> bool:
    """True if sscanf(3) found nothing but the number ``value`` in ``text`` up to ``end``."""
    first = text[0]
    return (
        (48 <= first <= 57 or first == 45 or first == 43)
        and 48 <= text[end - 1] <= 57
        and -_INT64_MAX <= value < _INT64_MAX
    )


def _is_integer(text: bytes, end: i64) -> bool:
    """True if ``text`` up to ``end`` is a decimal 64-bit number and nothing else."""
    at: i64 = 0
    if end > 0 and (text[0] == 45 or text[0] == 43):
        at = 1
    first = at
    while at < end and 48 <= text[at] <= 57:
        at += 1
    if at < end or at == first:
        return False
    if at - first < 19:
        return True
    digits = text[first:end].lstrip(b"0")
    limit = 1 << 63 if text[0] == 45 else _INT64_MAX
    return len(digits) < 19 or (len(digits) == 19 and int(digits) <= limit)


def is_time(text: bytes) -> bool:
    """True for what pax headers hold as times: an integer, and perhaps a point and digits."""
    size: i64 = len(text)
    at: i64 = 0
    while at < size and text[at] != 46:
        at += 1
    if not _is_integer(text, at):
        return False
    at += 1
    while at < size:
        if not 48 <= text[at] <= 57:
            return False
        at += 1
    return True


def rest_remarks(rest: bytes, negative_base256: bool) -> int:
    """Remarks that bytes 257 to 511 of a header give rise to.

    The runtime alone adds the last twelve to the sum. A header whose magic is neither ustar's nor
    GNU's has no device numbers and no prefix to it.
    """
    remarks = 0 if rest[243:] == _UNUSED else ODD_CHECKSUM
    devices = rest[72:88]
    if rest[:6] != _USTAR and rest[:8] != _GNU:
        return remarks | ODD_MAGIC if rest[88] or devices.strip(b"0 \0") else remarks
    if devices != _NO_DEVICES and devices != _EMPTY_DEVICES:
        for field in (devices[:8], devices[8:]):
            read = runtime_number(field)
            if read == UNPARSABLE:
                remarks |= ODD_NUMBER
            elif not 0 <= read <= 0xFFFF_FFFF or read != number(field, negative_base256):
                remarks |= ODD_DEVICE
    return remarks


def ignores_prefix(rest: bytes) -> bool:
    """True if the runtime takes a prefix in a GNU header for what it is there: times.

    Only where those do not parse, and the prefix is ASCII text, it is one (Go issue 12594).
    """
    if rest[:8] != _GNU:
        return False
    prefix = rest[88:243]
    for field in (prefix[:12], prefix[12:24]):
        if field[0] and runtime_number(field) == UNPARSABLE:
            end = prefix.find(b"\0")
            return any(byte >= 0x80 for byte in (prefix if end < 0 else prefix[:end]))
    return True
