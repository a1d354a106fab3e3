"""The xattr area behind an inode: sizes, order and bytes (struct erofs_xattr_ibody_header)."""

from __future__ import annotations

from workers.formats.erofs.checksums import xxh32
from workers.formats.erofs.ondisk import (
    EROFS_XATTR_FILTER_SEED,
    XATTR_ENTRY,
    XATTR_IBODY_HEADER,
    XATTR_IBODY_HEADER_SIZE,
    XATTR_PREFIXES,
)


def split_name(name: bytes) -> tuple[int, int]:
    """(name index, length of the prefix that it stands for); (0, 0) for an unknown prefix."""
    for index, prefix in XATTR_PREFIXES:
        if name.startswith(prefix):
            return index, len(prefix)
    return 0, 0


def grown_area(size: int, suffix: int, value: int) -> int:
    """The size of an area of ``size`` bytes (0: none yet) with one more xattr, lengths given."""
    return ((size or XATTR_IBODY_HEADER_SIZE) + 4 + suffix + value + 3) & ~3


def encode(xattrs: list[tuple[bytes, bytes]]) -> tuple[bytes, int]:
    """(the area's bytes, its name filter). Over-long names and values are cut as mkfs does."""
    bits = 0
    parts: list[bytes] = [b""]
    for name, value in xattrs:
        index, prefix = split_name(name)
        suffix = name[prefix:]
        bits |= 1 << (xxh32(suffix, EROFS_XATTR_FILTER_SEED + index) & 31)
        parts.append(XATTR_ENTRY.pack(len(suffix) & 0xFF, index, len(value) & 0xFFFF))
        parts.append(suffix)
        parts.append(value)
        parts.append(bytes(-(len(suffix) + len(value)) & 3))
    name_filter = ~bits & 0xFFFF_FFFF
    parts[0] = XATTR_IBODY_HEADER.pack(name_filter, 0)
    return b"".join(parts), name_filter


def sort_key(item: tuple[bytes, bytes]) -> bytes:
    """Order of xattrs from 1.9.3 on: the bytes of ``name NUL value``."""
    return item[0] + b"\0" + item[1]
