"""Writes a planned index; everything was decided in ``layout``."""

from __future__ import annotations

from mypy_extensions import i64

from workers.formats.erofs.ondisk import (
    BLOCK,
    EROFS_CHUNK_FORMAT_INDEXES,
    EROFS_I_DATALAYOUT_BIT,
    EROFS_I_VERSION_MASK,
    EROFS_INODE_CHUNK_BASED,
    S_IFBLK,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
    ChunkIndex,
    InodeCompact,
    InodeExtended,
)
from workers.formats.erofs.xattrs import icount, put_area
from workers.formats.tarindex.layout import Layout, chunk_bits, chunk_count
from workers.formats.tarindex.superblock import SuperblockFacts, put_superblock, seal
from workers.formats.tarindex.tree import Inode
from workers.formats.words import WordArray, shifted


def write_index(layout: Layout, facts: SuperblockFacts) -> bytes:
    """The finished index, device-table form: ``layout.blocks`` of 512 bytes."""
    image = WordArray(layout.blocks * BLOCK)
    filters = False
    for inode in layout.inodes:
        if _put_inode(image, layout.address(inode), inode):
            filters = True
    for offset, piece in layout.pieces:
        image.put_bytes(offset, piece)
    put_superblock(image, layout, facts, filters)
    if facts.version.checksum:
        seal(image)
    return image.data()


def _put_inode(image: WordArray, at: i64, inode: Inode) -> bool:
    """Write ``inode`` at byte ``at``, with what follows it; True: it has an xattr name filter."""
    if inode.extended:
        _put_extended(image, at, inode)
        body = at + InodeExtended.SIZE
    else:
        _put_compact(image, at, inode)
        body = at + InodeCompact.SIZE
    filtered = False
    if inode.xattr_size:
        assert inode.xattrs is not None
        filtered = put_area(image, body, inode.xattrs)
    if inode.layout == EROFS_INODE_CHUNK_BASED:
        _put_chunks(image, at + inode.area, inode)
    elif inode.tail:
        image.put_bytes(at + inode.area, inode.tail)
    return filtered


def _put_extended(image: WordArray, at: i64, inode: Inode) -> None:
    i_format = inode.layout << EROFS_I_DATALAYOUT_BIT | EROFS_I_VERSION_MASK
    InodeExtended.I_FORMAT.put(image, at, i_format)
    InodeExtended.I_XATTR_ICOUNT.put(image, at, icount(inode.xattr_size))
    InodeExtended.I_MODE.put(image, at, inode.mode)
    InodeExtended.I_SIZE.put(image, at, inode.size)
    InodeExtended.I_U.put(image, at, _union(inode))
    InodeExtended.I_INO.put(image, at, inode.ino)
    InodeExtended.I_UID.put(image, at, inode.uid)
    InodeExtended.I_GID.put(image, at, inode.gid)
    InodeExtended.I_MTIME.put(image, at, inode.mtime)
    InodeExtended.I_MTIME_NSEC.put(image, at, inode.nanoseconds)
    InodeExtended.I_NLINK.put(image, at, inode.nlink)


def _put_compact(image: WordArray, at: i64, inode: Inode) -> None:
    InodeCompact.I_FORMAT.put(image, at, inode.layout << EROFS_I_DATALAYOUT_BIT)
    InodeCompact.I_XATTR_ICOUNT.put(image, at, icount(inode.xattr_size))
    InodeCompact.I_MODE.put(image, at, inode.mode)
    InodeCompact.I_NB.put(image, at, inode.nlink)
    InodeCompact.I_SIZE.put(image, at, inode.size)
    InodeCompact.I_U.put(image, at, _union(inode))
    InodeCompact.I_INO.put(image, at, inode.ino)
    InodeCompact.I_UID.put(image, at, inode.uid)
    InodeCompact.I_GID.put(image, at, inode.gid)


def _union(inode: Inode) -> i64:
    """The union ``i_u``: device number, chunk format or block address."""
    if inode.layout == EROFS_INODE_CHUNK_BASED:
        form = EROFS_CHUNK_FORMAT_INDEXES | chunk_bits(inode.size)
        kind = inode.mode & S_IFMT
        if kind in (S_IFCHR, S_IFBLK, S_IFIFO):
            return inode.i_u | form  # what a special file with a body gets: no device any more
        return form
    return inode.i_u


def _put_chunks(image: WordArray, end: i64, inode: Inode) -> None:
    """Chunk indexes up to ``end``: device 1, which is the tar, and a block of it."""
    step = shifted(1, chunk_bits(inode.size))
    block = inode.block
    at = end - chunk_count(inode.size) * ChunkIndex.SIZE
    while at < end:
        ChunkIndex.DEVICE_ID.put(image, at, 1)
        ChunkIndex.STARTBLK_LO.put(image, at, block)
        at += ChunkIndex.SIZE
        block += step
