"""The xattr area behind an inode (``struct erofs_xattr_ibody_header``): sizes, order and bytes."""

from __future__ import annotations

from mypy_extensions import i64

from workers.formats.erofs.checksums import xxh32
from workers.formats.erofs.ondisk import (
    EROFS_XATTR_FILTER_SEED,
    XATTR_PREFIXES,
    XattrEntry,
    XattrIbodyHeader,
)
from workers.formats.words import WordArray


def split_name(name: bytes) -> tuple[int, int]:
    """(name index, length of the prefix that it stands for); (0, 0) for an unknown prefix."""
    for index, prefix in XATTR_PREFIXES:
        if name.startswith(prefix):
            return index, len(prefix)
    return 0, 0


def aligned(size: i64) -> i64:
    """``size`` bytes rounded up to where the next entry begins (``EROFS_XATTR_ALIGN``)."""
    return (size + XattrEntry.SIZE - 1) & -XattrEntry.SIZE


def grown_area(size: i64, suffix: i64, value: i64) -> i64:
    """The size of an area of ``size`` bytes (0: none yet) with one more xattr, lengths given."""
    if size == 0:
        size = XattrIbodyHeader.SIZE
    return aligned(size + XattrEntry.SIZE + suffix + value)


def icount(size: i64) -> i64:
    """``i_xattr_icount`` of an area of ``size`` bytes (0: none)."""
    if size == 0:
        return 0
    return (size - XattrIbodyHeader.SIZE) // XattrEntry.SIZE + 1


def area_size(count: i64) -> i64:
    """Bytes of an area whose ``i_xattr_icount`` is ``count`` (``erofs_xattr_ibody_size``)."""
    if count == 0:
        return 0
    return XattrIbodyHeader.SIZE + (count - 1) * XattrEntry.SIZE


def put_area(image: WordArray, at: i64, xattrs: list[tuple[bytes, bytes]]) -> bool:
    """Write header and entries at ``at``, a multiple of four; True if the name filter is not 0.

    Lengths of over-long names and values are cut to their fields, as mkfs.erofs does.
    """
    hashes = 0
    entry = at + XattrIbodyHeader.SIZE
    for name, value in xattrs:
        index, prefix = split_name(name)
        suffix = name[prefix:]
        hashes |= 1 << (xxh32(suffix, EROFS_XATTR_FILTER_SEED + index) & 31)
        XattrEntry.E_NAME_LEN.put(image, entry, len(suffix))
        XattrEntry.E_NAME_INDEX.put(image, entry, index)
        XattrEntry.E_VALUE_SIZE.put(image, entry, len(value))
        image.put_bytes(entry + XattrEntry.SIZE, suffix + value)
        entry += aligned(XattrEntry.SIZE + len(suffix) + len(value))
    name_filter = ~hashes & 0xFFFF_FFFF
    XattrIbodyHeader.H_NAME_FILTER.put(image, at, name_filter)
    return name_filter != 0


def sort_key(item: tuple[bytes, bytes]) -> bytes:
    """Order of xattrs from 1.9.3 on: the bytes of ``name NUL value``."""
    return item[0] + b"\0" + item[1]
