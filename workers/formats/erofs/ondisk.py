"""EROFS on-disk structures: every field is stated here, once, and read and written by it.

Names, order and sizes are those of the kernel's ``fs/erofs/erofs_fs.h`` (erofs-utils 1.9.3:
``include/erofs_fs.h``); what Linux describes of them is Documentation/filesystems/erofs.rst. All
numbers are little-endian. Fields that a tar index leaves zero stand in no structure's way, but are
listed, so that a structure has no gaps.

A tar index has 512-byte blocks, no compression, no fragments, no metabox.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from workers.formats.words import ByteQueue, WordArray, unsigned

BLOCK_BITS: Final = 9
BLOCK: Final = 512


@final
class Field:
    """A field of a structure: where it starts, and how long it is, in bytes."""

    def __init__(self, offset: i64, size: i64) -> None:
        self.offset: i64 = offset
        self.size: i64 = size

    def get(self, data: bytes, at: i64) -> int:
        """The unsigned number of 1, 2, 4 or 8 bytes in the structure ``at`` in ``data``.

        Raises IndexError where it is not all there.
        """
        return unsigned(data, at + self.offset, self.size)

    def octets(self, data: bytes, at: int) -> bytes:
        """The bytes in the structure ``at`` in ``data``, as many as are there."""
        return data[at + self.offset : at + self.offset + self.size]

    def put(self, image: WordArray, at: i64, value: i64) -> None:
        """Write the low bytes of ``value`` to the structure ``at`` in ``image``."""
        image.put(at + self.offset, self.size, value)

    def put_octets(self, image: WordArray, at: i64, value: bytes) -> None:
        """Write ``value``, which must be as long as the field."""
        if len(value) != self.size:
            raise ValueError(f"{len(value)} bytes for a field of {self.size}")
        image.put_bytes(at + self.offset, value)

    def append(self, queue: ByteQueue, value: i64) -> None:
        """Add the low bytes of ``value`` to ``queue``, which ends where the field starts."""
        queue.append(self.size, value)


EROFS_SUPER_OFFSET: Final = 1024
EROFS_SUPER_MAGIC_V1: Final = 0xE0F5E1E2

EROFS_FEATURE_COMPAT_SB_CHKSUM: Final = 0x1
EROFS_FEATURE_COMPAT_MTIME: Final = 0x2
EROFS_FEATURE_COMPAT_XATTR_FILTER: Final = 0x4
EROFS_FEATURE_INCOMPAT_LZ4_0PADDING: Final = 0x1
EROFS_FEATURE_INCOMPAT_DEVICE_TABLE: Final = 0x8


class SuperBlock:
    """``struct erofs_super_block`` without extension slots, at byte 1024."""

    MAGIC: Final = Field(0x00, 4)
    #: crc32c of the block, itself zero, from 1024 on.
    CHECKSUM: Final = Field(0x04, 4)
    FEATURE_COMPAT: Final = Field(0x08, 4)
    BLKSZBITS: Final = Field(0x0C, 1)
    SB_EXTSLOTS: Final = Field(0x0D, 1)
    ROOTNID_2B: Final = Field(0x0E, 2)
    INOS: Final = Field(0x10, 8)
    #: Seconds that the mtime of compact inodes counts from: theirs is this.
    EPOCH: Final = Field(0x18, 8)
    FIXED_NSEC: Final = Field(0x20, 4)
    BLOCKS_LO: Final = Field(0x24, 4)
    META_BLKADDR: Final = Field(0x28, 4)
    XATTR_BLKADDR: Final = Field(0x2C, 4)
    UUID: Final = Field(0x30, 16)
    VOLUME_NAME: Final = Field(0x40, 16)
    FEATURE_INCOMPAT: Final = Field(0x50, 4)
    AVAILABLE_COMPR_ALGS: Final = Field(0x54, 2)
    EXTRA_DEVICES: Final = Field(0x56, 2)
    #: Byte offset of the device table, in slots of 128.
    DEVT_SLOTOFF: Final = Field(0x58, 2)
    DIRBLKBITS: Final = Field(0x5A, 1)
    XATTR_PREFIX_COUNT: Final = Field(0x5B, 1)
    XATTR_PREFIX_START: Final = Field(0x5C, 4)
    PACKED_NID: Final = Field(0x60, 8)
    XATTR_FILTER_RESERVED: Final = Field(0x68, 1)
    RESERVED: Final = Field(0x69, 3)
    BUILD_TIME: Final = Field(0x6C, 4)
    ROOTNID_8B: Final = Field(0x70, 8)
    RESERVED2: Final = Field(0x78, 8)
    SIZE: Final = 0x80


class DeviceSlot:
    """``struct erofs_deviceslot``: a device beside the primary one."""

    TAG: Final = Field(0x00, 64)
    BLOCKS_LO: Final = Field(0x40, 4)
    #: Block where the device starts in the unified address space.
    UNIADDR_LO: Final = Field(0x44, 4)
    BLOCKS_HI: Final = Field(0x48, 2)
    UNIADDR_HI: Final = Field(0x4A, 2)
    RESERVED: Final = Field(0x4C, 52)
    SIZE: Final = 0x80


#: Byte offset of the only device slot.
DEVICE_SLOT_OFFSET: Final = EROFS_SUPER_OFFSET + SuperBlock.SIZE

#: An inode's number is its address: byte offset / 32.
EROFS_ISLOTBITS: Final = 5
#: What mkfs.erofs writes for an inode that it gave no place: all bits set, here as a signed number.
NID_UNALLOCATED: Final = -1


class InodeCompact:
    """``struct erofs_inode_compact``: mtime is the superblock's epoch."""

    I_FORMAT: Final = Field(0x00, 2)
    I_XATTR_ICOUNT: Final = Field(0x02, 2)
    I_MODE: Final = Field(0x04, 2)
    #: Union ``i_nb``: the link count.
    I_NB: Final = Field(0x06, 2)
    I_SIZE: Final = Field(0x08, 4)
    I_MTIME: Final = Field(0x0C, 4)
    #: Union ``i_u``: block address, device number or chunk format.
    I_U: Final = Field(0x10, 4)
    I_INO: Final = Field(0x14, 4)
    I_UID: Final = Field(0x18, 2)
    I_GID: Final = Field(0x1A, 2)
    I_RESERVED: Final = Field(0x1C, 4)
    SIZE: Final = 0x20


class InodeExtended:
    """``struct erofs_inode_extended``; begins as the compact form does."""

    I_FORMAT: Final = Field(0x00, 2)
    I_XATTR_ICOUNT: Final = Field(0x02, 2)
    I_MODE: Final = Field(0x04, 2)
    I_NB: Final = Field(0x06, 2)
    I_SIZE: Final = Field(0x08, 8)
    I_U: Final = Field(0x10, 4)
    I_INO: Final = Field(0x14, 4)
    I_UID: Final = Field(0x18, 4)
    I_GID: Final = Field(0x1C, 4)
    #: Seconds, signed.
    I_MTIME: Final = Field(0x20, 8)
    I_MTIME_NSEC: Final = Field(0x28, 4)
    I_NLINK: Final = Field(0x2C, 4)
    I_RESERVED2: Final = Field(0x30, 16)
    SIZE: Final = 0x40


#: ``i_format``: bit 0 tells the extended form, three bits the data layout; a tar index has no more.
EROFS_I_VERSION_MASK: Final = 0x1
EROFS_I_DATALAYOUT_BIT: Final = 1
EROFS_INODE_FLAT_PLAIN: Final = 0
EROFS_INODE_FLAT_INLINE: Final = 2
EROFS_INODE_CHUNK_BASED: Final = 4

#: ``i_u`` of chunk-based inodes: log2 of a chunk's blocks, and flags.
EROFS_CHUNK_FORMAT_BLKBITS_MASK: Final = 0x1F
EROFS_CHUNK_FORMAT_INDEXES: Final = 0x20
EROFS_CHUNK_FORMAT_48BIT: Final = 0x40
#: ``i_u`` of flat inodes without blocks of their own.
EROFS_NULL_ADDR: Final = 0xFFFF_FFFF


class ChunkIndex:
    """``struct erofs_inode_chunk_index``: where a chunk lies; an array behind inode and xattrs."""

    STARTBLK_HI: Final = Field(0x00, 2)
    #: 0: this image; n: the device of slot n - 1.
    DEVICE_ID: Final = Field(0x02, 2)
    STARTBLK_LO: Final = Field(0x04, 4)
    #: The array is aligned to it too.
    SIZE: Final = 0x08


class Dirent:
    """``struct erofs_dirent``; the records of a block come first, then their names."""

    NID: Final = Field(0x00, 8)
    #: Byte offset of the name in the block.
    NAMEOFF: Final = Field(0x08, 2)
    FILE_TYPE: Final = Field(0x0A, 1)
    RESERVED: Final = Field(0x0B, 1)
    SIZE: Final = 0x0C


EROFS_NAME_LEN: Final = 255

EROFS_FT_UNKNOWN: Final = 0
EROFS_FT_REG_FILE: Final = 1
EROFS_FT_DIR: Final = 2
EROFS_FT_CHRDEV: Final = 3
EROFS_FT_BLKDEV: Final = 4
EROFS_FT_FIFO: Final = 5
EROFS_FT_SYMLINK: Final = 7


class XattrIbodyHeader:
    """``struct erofs_xattr_ibody_header``, right behind the inode; entries follow."""

    #: A set bit: no xattr has a name with this hash.
    H_NAME_FILTER: Final = Field(0x00, 4)
    H_SHARED_COUNT: Final = Field(0x04, 1)
    H_RESERVED2: Final = Field(0x05, 7)
    SIZE: Final = 0x0C


class XattrEntry:
    """``struct erofs_xattr_entry``; the name without its prefix and the value follow."""

    E_NAME_LEN: Final = Field(0x00, 1)
    E_NAME_INDEX: Final = Field(0x01, 1)
    E_VALUE_SIZE: Final = Field(0x02, 2)
    #: Entries are aligned to it too (``EROFS_XATTR_ALIGN``).
    SIZE: Final = 0x04


EROFS_XATTR_FILTER_SEED: Final = 0x25BBE08F
#: Known prefixes in the order in which they are tried: (``e_name_index``, prefix).
XATTR_PREFIXES: Final[tuple[tuple[int, bytes], ...]] = (
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
)
OVL_XATTR_OPAQUE: Final = b"trusted.overlay.opaque"
OVL_XATTR_ORIGIN: Final = b"trusted.overlay.origin"

S_IFMT: Final = 0o170000
S_IFREG: Final = 0o100000
S_IFDIR: Final = 0o040000
S_IFLNK: Final = 0o120000
S_IFCHR: Final = 0o020000
S_IFBLK: Final = 0o060000
S_IFIFO: Final = 0o010000


def file_type(mode: int) -> int:
    """The dirent type of ``mode`` (``erofs_mode_to_ftype``); 0 for none of the known ones."""
    return _FILE_TYPES[mode >> 12 & 15]


# Of unknown length on purpose: mypyc makes another kind of tuple anew each time it is indexed.
_FILE_TYPES: Final[tuple[int, ...]] = (
    *(0, EROFS_FT_FIFO, EROFS_FT_CHRDEV, 0, EROFS_FT_DIR, 0, EROFS_FT_BLKDEV, 0),
    *(EROFS_FT_REG_FILE, 0, EROFS_FT_SYMLINK, 0, 0, 0, 0, 0),
)
