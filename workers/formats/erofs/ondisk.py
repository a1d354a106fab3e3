"""EROFS on-disk structures, with the kernel's names (fs/erofs/erofs_fs.h). All little-endian.

Only what a tar index uses: no compression, no fragments, no metabox, 512-byte blocks.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

BLOCK_BITS: Final = 9
BLOCK: Final = 512

EROFS_SUPER_OFFSET: Final = 1024
EROFS_SUPER_MAGIC_V1: Final = 0xE0F5E1E2
EROFS_SUPER_SIZE: Final = 128

EROFS_FEATURE_COMPAT_SB_CHKSUM: Final = 0x1
EROFS_FEATURE_COMPAT_MTIME: Final = 0x2
EROFS_FEATURE_COMPAT_XATTR_FILTER: Final = 0x4
EROFS_FEATURE_INCOMPAT_DEVICE_TABLE: Final = 0x8

EROFS_DEVT_SLOT_SIZE: Final = 128
#: Byte offset of the only device slot; ``devt_slotoff`` counts in slots.
DEVICE_SLOT_OFFSET: Final = EROFS_SUPER_OFFSET + EROFS_SUPER_SIZE

#: magic, checksum, feature_compat, blkszbits, sb_extslots, root_nid, inos, epoch, fixed_nsec,
#: blocks_lo, meta_blkaddr, xattr_blkaddr, uuid, volume_name, feature_incompat, available_compr_algs
#: (union), extra_devices, devt_slotoff; the rest is reserved or zero here.
SUPER_BLOCK: Final = Struct("<IIIBBHQqIIII16s16sIHHH38x")
#: tag, blocks_lo, uniaddr_lo, blocks_hi, uniaddr_hi.
DEVICE_SLOT: Final = Struct("<64sIIHH52x")

COMPACT_SIZE: Final = 32
EXTENDED_SIZE: Final = 64
#: i_format, i_xattr_icount, i_mode, i_nlink, i_size, i_reserved (mtime), i_u, i_ino, i_uid, i_gid.
INODE_COMPACT: Final = Struct("<HHHHIIIIHHI")
#: i_format, i_xattr_icount, i_mode, i_nb, i_size, i_u, i_ino, i_uid, i_gid, i_mtime, i_mtime_nsec,
#: i_nlink, reserved.
INODE_EXTENDED: Final = Struct("<HHHHQIIIIqII16s")
#: The inode number is also its address: byte offset / 32.
SLOT_BITS: Final = 5

#: What mkfs.erofs writes for an inode that it gave no place: all bits set, here as a signed number.
NID_UNALLOCATED: Final = -1

LAYOUT_FLAT_PLAIN: Final = 0
LAYOUT_FLAT_INLINE: Final = 2
LAYOUT_CHUNK_BASED: Final = 4

EROFS_CHUNK_FORMAT_INDEXES: Final = 0x20
EROFS_CHUNK_FORMAT_BLKBITS_MASK: Final = 0x1F
CHUNK_FORMAT_48BIT: Final = 0x40
#: startblk_hi, device_id, startblk_lo.
CHUNK_INDEX: Final = Struct("<HHI")
CHUNK_INDEX_SIZE: Final = 8

EROFS_NULL_ADDR: Final = 0xFFFF_FFFF

#: nid, nameoff, file_type, reserved.
DIRENT: Final = Struct("<QHBB")
DIRENT_SIZE: Final = 12
EROFS_NAME_LEN: Final = 255

FT_REG_FILE: Final = 1
FT_DIR: Final = 2
FT_CHRDEV: Final = 3
FT_BLKDEV: Final = 4
FT_FIFO: Final = 5
FT_SYMLINK: Final = 7

S_IFMT: Final = 0o170000
S_IFREG: Final = 0o100000
S_IFDIR: Final = 0o040000
S_IFLNK: Final = 0o120000
S_IFCHR: Final = 0o020000
S_IFBLK: Final = 0o060000
S_IFIFO: Final = 0o010000

#: h_name_filter, h_shared_count, reserved.
XATTR_IBODY_HEADER: Final = Struct("<IB7x")
XATTR_IBODY_HEADER_SIZE: Final = 12
#: e_name_len, e_name_index, e_value_size.
XATTR_ENTRY: Final = Struct("<BBH")
EROFS_XATTR_FILTER_SEED: Final = 0x25BBE08F
#: Known prefixes in the order in which they are tried: (index, prefix).
XATTR_PREFIXES: Final[tuple[tuple[int, bytes], ...]] = (
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
)
OVL_XATTR_OPAQUE: Final = b"trusted.overlay.opaque"
OVL_XATTR_ORIGIN: Final = b"trusted.overlay.origin"


def file_type(mode: int) -> int:
    """The dirent type of ``mode``; 0 for none of the known ones."""
    return _FILE_TYPES[mode >> 12 & 15]


# Of unknown length on purpose: mypyc makes another kind of tuple anew each time it is indexed.
_FILE_TYPES: Final[tuple[int, ...]] = (
    *(0, FT_FIFO, FT_CHRDEV, 0, FT_DIR, 0, FT_BLKDEV, 0),
    *(FT_REG_FILE, 0, FT_SYMLINK, 0, 0, 0, 0, 0),
)
