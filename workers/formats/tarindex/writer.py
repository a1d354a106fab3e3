"""Writes a planned index; everything was decided in ``layout``."""

from __future__ import annotations

from dataclasses import dataclass

from librt.strings import read_i32_le, read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from app.catalog.builders import BuilderVersion
from workers.formats.erofs.checksums import crc32c
from workers.formats.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
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
    LAYOUT_CHUNK_BASED,
    S_IFBLK,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
    SLOT_BITS,
    SUPER_BLOCK,
)
from workers.formats.erofs.xattrs import encode
from workers.formats.tarindex.layout import Layout, chunk_bits, chunk_count
from workers.formats.tarindex.tree import Inode


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
    image = _Image(layout.blocks)
    filters = False
    for inode in layout.inodes:
        if image.write(inode):
            filters = True
    for offset, piece in layout.pieces:
        image.put(offset, piece)
    image.put(EROFS_SUPER_OFFSET, _superblock(layout, facts, filters))
    if facts.version.checksum:
        image.seal()
    return image.data()


def inode_format(inode: Inode) -> i64:
    """The union ``i_u``: device number, chunk format or block address."""
    if inode.layout == LAYOUT_CHUNK_BASED:
        form = EROFS_CHUNK_FORMAT_INDEXES | chunk_bits(inode.size)
        kind = inode.mode & S_IFMT
        if kind in (S_IFCHR, S_IFBLK, S_IFIFO):
            return inode.u | form  # what a special file with a body gets: no device any more
        return form
    return inode.u


def _upper(value: i64) -> i64:
    """The low 32 bits of ``value`` as the upper half of a word: 64 bits, signed."""
    return (((value & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000) << 32


class _Image:
    """An image under construction, as words of eight bytes."""

    def __init__(self, blocks: i64) -> None:
        self._words: vec[i64] = vec[i64]([0] * (blocks * (BLOCK // 8)))

    def data(self) -> bytes:
        """All of it in bytes."""
        return bytes(memoryview(self._words))

    def put(self, offset: i64, data: bytes) -> None:
        """Write ``data`` at a multiple of four bytes; zeros follow up to a multiple of eight.

        They hit nothing: what comes behind begins at a multiple of eight, or is written later.
        """
        size: i64 = len(data)
        data += bytes(8)
        at = offset >> 3
        done: i64 = 0
        if offset & 4:
            self._words[at] = (self._words[at] & 0xFFFF_FFFF) | _upper(i64(read_i32_le(data, 0)))
            at += 1
            done = 4
        while done < size:
            self._words[at] = read_i64_le(data, done)
            at += 1
            done += 8

    def seal(self) -> None:
        """Put the checksum behind the magic number; the field itself must be zero."""
        at: i64 = EROFS_SUPER_OFFSET // 8
        block = memoryview(self._words)[at : at + BLOCK // 8]
        self._words[at] = (self._words[at] & 0xFFFF_FFFF) | _upper(crc32c(bytes(block)))

    def write(self, inode: Inode) -> bool:
        """Write ``inode`` with xattrs, chunk records and inline tail; True: it has a filter."""
        run = inode.run
        assert run is not None
        start = run.addr * BLOCK + inode.offset
        at = start >> 3
        count: i64 = (inode.xattr_size - 12) // 4 + 1 if inode.xattr_size else 0
        union = inode_format(inode)
        head = inode.layout << 1 | (count & 0xFFFF) << 16 | inode.mode << 32
        words = self._words
        # Both forms are described in ondisk: INODE_EXTENDED and INODE_COMPACT.
        if inode.extended:
            words[at] = head | 1
            words[at + 1] = inode.size
            words[at + 2] = union | _upper(inode.ino)
            words[at + 3] = inode.uid | _upper(inode.gid)
            words[at + 4] = inode.mtime
            words[at + 5] = inode.nanoseconds | _upper(inode.nlink)
            size: i64 = EXTENDED_SIZE
        else:
            words[at] = head | _upper(inode.nlink << 16)
            words[at + 1] = inode.size
            words[at + 2] = union | _upper(inode.ino)
            words[at + 3] = inode.uid | inode.gid << 16
            size = COMPACT_SIZE
        filtered = False
        if inode.xattr_size:
            assert inode.xattrs is not None
            area, name_filter = encode(inode.xattrs)
            self.put(start + size, area)
            size += len(area)
            filtered = name_filter != 0
        if inode.layout == LAYOUT_CHUNK_BASED:
            self._write_chunks((start + size + 7) >> 3, inode)
        elif inode.tail:
            self.put(start + inode.area, inode.tail)
        return filtered

    def _write_chunks(self, at: i64, inode: Inode) -> None:
        """Chunk records (ondisk.CHUNK_INDEX): device 1 and a block of the tar."""
        step: i64 = 1
        step <<= chunk_bits(inode.size)
        block = inode.block
        count = chunk_count(inode.size)
        while count > 0:
            self._words[at] = 1 << 16 | _upper(block)
            at += 1
            block += step
            count -= 1


def _superblock(layout: Layout, facts: SuperblockFacts, filters: bool) -> bytes:
    """Superblock, its checksum zero, and the device slot that follows it."""
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
    superblock = SUPER_BLOCK.pack(
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
    return superblock + DEVICE_SLOT.pack(b"", facts.tar_blocks & 0xFFFF_FFFF, layout.blocks, 0, 0)


def seal(image: bytearray) -> None:
    """Compute the superblock's checksum over its block, the field itself zero."""
    image[EROFS_SUPER_OFFSET + 4 : EROFS_SUPER_OFFSET + 8] = bytes(4)
    crc = crc32c(bytes(image[EROFS_SUPER_OFFSET : EROFS_SUPER_OFFSET + BLOCK]))
    image[EROFS_SUPER_OFFSET + 4 : EROFS_SUPER_OFFSET + 8] = crc.to_bytes(4, "little")
