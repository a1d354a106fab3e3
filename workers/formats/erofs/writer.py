"""Writes a planned index; everything was decided in ``layout``."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from workers.formats.erofs.checksums import crc32c
from workers.formats.erofs.layout import Layout, chunk_bits, chunk_count
from workers.formats.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    CHUNK_INDEX,
    CHUNK_INDEX_SIZE,
    COMPACT_SIZE,
    DEVICE_SLOT,
    DEVICE_SLOT_OFFSET,
    EROFS_CHUNK_FORMAT_INDEXES,
    EROFS_DEVT_SLOT_SIZE,
    EROFS_FEATURE_COMPAT_MTIME,
    EROFS_FEATURE_COMPAT_SB_CHKSUM,
    EROFS_FEATURE_COMPAT_XATTR_FILTER,
    EROFS_FEATURE_INCOMPAT_DEVICE_TABLE,
    EROFS_SUPER_MAGIC_V1,
    EROFS_SUPER_OFFSET,
    EXTENDED_SIZE,
    INODE_COMPACT,
    LAYOUT_CHUNK_BASED,
    S_IFBLK,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
    SLOT_BITS,
    SUPER_BLOCK,
)
from workers.formats.erofs.tree import Inode
from workers.formats.erofs.versions import BuilderVersion
from workers.formats.erofs.xattrs import encode

#: The extended inode as eight-byte words (see ondisk.INODE_EXTENDED), reserved bytes left out.
_EXTENDED_WORDS: Final = Struct("<QQQQqQ")
_EXTENDED_WORDS_CHUNK: Final = Struct("<QQQQqQ16xQ")


@dataclass(frozen=True, slots=True)
class SuperblockFacts:
    """What the superblock says beside the layout."""

    version: BuilderVersion
    uuid: bytes
    epoch: int
    label: bytes
    #: Blocks of the tar that the parser reached: the size of device 1.
    tar_blocks: int


def write_index(layout: Layout, facts: SuperblockFacts) -> bytes:
    """The finished index, device-table form."""
    image = bytearray(layout.blocks * BLOCK)
    filters = False
    for inode in layout.inodes:
        if _write_inode(image, inode):
            filters = True
    for offset, piece in layout.pieces:
        image[offset : offset + len(piece)] = piece
    _write_superblock(image, layout, facts, filters)
    return bytes(image)


def inode_format(inode: Inode) -> int:
    """The union ``i_u``: device number, chunk format or block address."""
    if inode.layout == LAYOUT_CHUNK_BASED:
        form = EROFS_CHUNK_FORMAT_INDEXES | chunk_bits(inode.size)
        if inode.mode & S_IFMT in (S_IFCHR, S_IFBLK, S_IFIFO):
            return inode.u | form  # what a special file with a body gets: no device any more
        return form
    return inode.u


def _write_inode(image: bytearray, inode: Inode) -> bool:
    """Write ``inode`` with xattrs, chunk records and inline tail; True if it has a name filter."""
    run = inode.run
    assert run is not None
    at = run.addr * BLOCK + inode.offset
    count = (inode.xattr_size - 12) // 4 + 1 if inode.xattr_size else 0
    chunked = inode.layout == LAYOUT_CHUNK_BASED
    union = inode_format(inode)
    single = False
    if inode.extended:
        words = (inode.layout << 1 | 1) | (count & 0xFFFF) << 16 | inode.mode << 32
        numbers = union | inode.ino << 32
        owner = inode.uid | inode.gid << 32
        links = inode.nanoseconds | inode.nlink << 32
        single = chunked and not inode.xattr_size and inode.size <= 1 << 40
        if single:
            _EXTENDED_WORDS_CHUNK.pack_into(
                image,
                at,
                words,
                inode.size,
                numbers,
                owner,
                inode.mtime,
                links,
                1 << 16 | inode.block << 32,
            )
        else:
            _EXTENDED_WORDS.pack_into(
                image, at, words, inode.size, numbers, owner, inode.mtime, links
            )
        size = EXTENDED_SIZE
    else:
        INODE_COMPACT.pack_into(
            image,
            at,
            inode.layout << 1,
            count & 0xFFFF,
            inode.mode,
            inode.nlink & 0xFFFF,
            inode.size & 0xFFFF_FFFF,
            0,
            union,
            inode.ino,
            inode.uid,
            inode.gid,
            0,
        )
        size = COMPACT_SIZE
    filtered = False
    if inode.xattr_size:
        assert inode.xattrs is not None
        area, name_filter = encode(inode.xattrs)
        image[at + size : at + size + len(area)] = area
        size += len(area)
        filtered = name_filter != 0
    if chunked and not single:
        _write_chunks(image, at + ((size + 7) & ~7), inode)
    elif inode.tail:
        image[at + inode.area : at + inode.area + len(inode.tail)] = inode.tail
    return filtered


def _write_chunks(image: bytearray, at: int, inode: Inode) -> None:
    step = 1 << chunk_bits(inode.size)
    block = inode.block
    for _ in range(chunk_count(inode.size)):
        CHUNK_INDEX.pack_into(image, at, 0, 1, block & 0xFFFF_FFFF)
        at += CHUNK_INDEX_SIZE
        block += step


def _write_superblock(
    image: bytearray, layout: Layout, facts: SuperblockFacts, filters: bool
) -> None:
    version = facts.version
    compat = EROFS_FEATURE_COMPAT_MTIME
    if version.checksum:
        compat |= EROFS_FEATURE_COMPAT_SB_CHKSUM
    if filters:
        compat |= EROFS_FEATURE_COMPAT_XATTR_FILTER
    run = layout.root.run
    assert run is not None
    root_nid = (run.addr * BLOCK + layout.root.offset) >> SLOT_BITS
    incompat = EROFS_FEATURE_INCOMPAT_DEVICE_TABLE | version.extra_incompat
    SUPER_BLOCK.pack_into(
        image,
        EROFS_SUPER_OFFSET,
        EROFS_SUPER_MAGIC_V1,
        0,
        compat,
        BLOCK_BITS,
        0,
        root_nid,
        len(layout.inodes),
        facts.epoch,
        0,
        layout.blocks,
        0,
        0,
        facts.uuid,
        facts.label,
        incompat,
        0,
        1,
        DEVICE_SLOT_OFFSET // EROFS_DEVT_SLOT_SIZE,
    )
    DEVICE_SLOT.pack_into(
        image, DEVICE_SLOT_OFFSET, b"", facts.tar_blocks & 0xFFFF_FFFF, layout.blocks, 0, 0
    )
    if version.checksum:
        seal(image)


def seal(image: bytearray) -> None:
    """Compute the superblock's checksum over its block, the field itself zero."""
    image[EROFS_SUPER_OFFSET + 4 : EROFS_SUPER_OFFSET + 8] = bytes(4)
    crc = crc32c(bytes(image[EROFS_SUPER_OFFSET : EROFS_SUPER_OFFSET + BLOCK]))
    image[EROFS_SUPER_OFFSET + 4 : EROFS_SUPER_OFFSET + 8] = crc.to_bytes(4, "little")
