"""Bounds on what a tar may ask of us; memory grows with entries, never with a number it claims."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TarLimits:
    """Upper bounds, all inclusive; going over one raises ``FormatError``.

    Its code is ``limit-NAME``, without ``max_``. Sizes are bytes. The defaults are far above real
    layers, far below what would hurt a worker.
    """

    #: Uncompressed length of the whole tar (64 GiB; chunk addresses end at 2 TiB).
    max_tar_bytes: int = 64 << 30
    #: Inodes and names made, parents that the tar does not declare included.
    max_entries: int = 4_000_000
    #: Length of one path or hard link target.
    max_path_bytes: int = 32768
    #: Components of one path or hard link target.
    max_path_depth: int = 2048
    #: Length of a symbolic link's target (the kernel follows 4095).
    max_symlink_bytes: int = 32768
    #: Body of one pax header or GNU long name.
    max_extension_bytes: int = 1 << 20
    #: Extension headers in front of one entry.
    max_extension_headers: int = 64
    #: Records in one pax header.
    max_pax_records: int = 8192
    #: Names and values of all xattrs of one inode (a kernel value ends at 64 KiB).
    max_xattr_bytes: int = 256 << 10
    #: Names in one directory.
    max_directory_entries: int = 2_000_000
    #: Length of the index that is made.
    max_index_bytes: int = 2 << 30
    #: Warnings kept; the ones after that are counted in one last warning.
    max_warnings: int = 1000
