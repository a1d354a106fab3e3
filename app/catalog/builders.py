"""Releases of mkfs.erofs whose bytes our indexes can equal: one row each, one column a difference.

A new erofs-utils release is one row here and its vectors; configuration, commands and documents
follow. Every column says what the older program did. Facts: release history of erofs-utils and
runs of each binary over the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class BuilderVersion:
    """Behaviour of one mkfs.erofs release; the defaults are those of the newest, 1.9.3."""

    name: str = "1.9.3"
    #: May be chosen; the others are known to the formats, for vectors and comparisons only.
    offered: bool = True
    #: Order of an inode's xattrs: by name and value (1.9.3), or as they arrive.
    sorts_xattrs: bool = True
    #: A negative size is refused (1.9.3); before, it moved the counted offset back.
    refuses_negative_size: bool = True
    #: ``mtime=1.5`` is half a second (1.9.2); before, the fraction was an integer of nanoseconds.
    decimal_mtime: bool = True
    #: Empty pax values clear (1.9.2); before, they were empty strings or errors.
    empty_clears: bool = True
    #: GNU long names end at 4096 bytes (1.9.2); before, only long links did.
    bounds_long_name: bool = True
    #: Device numbers go through makedev(3) (1.9.2); before, 32-bit arithmetic with sign.
    wide_devices: bool = True
    #: Bodies over one 32 KiB buffer are read right (1.9.2); before, they were garbled.
    reads_long_bodies: bool = True
    #: Bits of feature_incompat beside the device table (0x8).
    extra_incompat: int = 0
    #: An archive may end without two zero blocks (1.9).
    accepts_missing_end: bool = True
    #: LIBARCHIVE.xattr base64 is decoded most significant bits first (1.9).
    standard_base64: bool = True
    #: A hard link looks its target up before it replaces its name (1.9).
    links_in_order: bool = True
    #: ``.`` and ``..`` are made with the directory (until 1.8.10), so ``..`` is the parent of then.
    early_dots: bool = False
    #: A chunk format with bit 0x40 is taken for 48-bit addressing and refused (1.9).
    checks_48bit: bool = True
    #: An mtime equal to the epoch makes a compact inode, whatever its nanoseconds (1.9).
    compact_loses_nanoseconds: bool = True
    #: The superblock carries a checksum (1.8.8, when built with its default).
    checksum: bool = True
    #: A first byte of 0xFF is base 256 too (1.8.8).
    negative_base256: bool = True
    #: Names that start with ``.wh.`` are whiteouts; in 1.8.7 only the bare ``.wh.`` is one.
    whiteouts_by_prefix: bool = True
    #: xattrs outside the known prefixes are kept (1.8.7).
    keeps_unknown_xattrs: bool = True


_V193: Final = BuilderVersion()
_V192: Final = replace(_V193, name="1.9.2", sorts_xattrs=False, refuses_negative_size=False)
_V191: Final = replace(
    _V192,
    name="1.9.1",
    decimal_mtime=False,
    empty_clears=False,
    bounds_long_name=False,
    wide_devices=False,
    reads_long_bodies=False,
)
_V190: Final = replace(_V191, name="1.9", extra_incompat=1)
_V1810: Final = replace(
    _V191,
    name="1.8.10",
    accepts_missing_end=False,
    standard_base64=False,
    links_in_order=False,
    early_dots=True,
    compact_loses_nanoseconds=False,
    checks_48bit=False,
)
_V187: Final = replace(
    _V1810,
    name="1.8.7",
    offered=False,
    checksum=False,
    negative_base256=False,
    whiteouts_by_prefix=False,
)

#: Every release that the formats know, the newest first.
BUILDERS: Final[Mapping[str, BuilderVersion]] = {
    row.name: row
    for row in (
        _V193,
        _V192,
        _V191,
        _V190,
        _V1810,
        replace(_V1810, name="1.8.9"),
        replace(_V1810, name="1.8.8"),
        _V187,
        replace(
            _V187,
            name="1.8.6",
            offered=True,
            whiteouts_by_prefix=True,
            keeps_unknown_xattrs=False,
        ),
    )
}

#: What is built as where neither configuration nor command line says otherwise.
DEFAULT_BUILDER: Final = _V193.name


def offered() -> tuple[str, ...]:
    """Names of the releases that may be chosen, the oldest first."""
    return tuple(sorted((row.name for row in BUILDERS.values() if row.offered), key=release_order))


def release_order(name: str) -> tuple[int, ...]:
    """Sort key of releases, known or not: ``1.8.10`` comes after ``1.8.9``."""
    return tuple(int(part) for part in name.split(".") if part.isdigit())
