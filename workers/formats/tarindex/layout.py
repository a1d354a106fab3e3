"""Decides where every inode, directory and long symlink lies (lib/inode.c of erofs-utils).

All children of a directory are allocated together, then the directory's own data, then its
sub-directories, depth first; names in byte order (``erofs_mkfs_dump_tree``). Nothing is written
here: see ``writer``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from app.catalog.builders import BuilderVersion
from workers.formats.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    EROFS_CHUNK_FORMAT_48BIT,
    EROFS_CHUNK_FORMAT_BLKBITS_MASK,
    EROFS_INODE_CHUNK_BASED,
    EROFS_INODE_FLAT_INLINE,
    EROFS_INODE_FLAT_PLAIN,
    EROFS_ISLOTBITS,
    EROFS_NULL_ADDR,
    NID_UNALLOCATED,
    OVL_XATTR_ORIGIN,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    ChunkIndex,
    InodeCompact,
    InodeExtended,
)
from workers.formats.erofs.xattrs import grown_area, sort_key, split_name
from workers.formats.errors import FormatError
from workers.formats.tarindex.allocator import DATA, META, Allocator, Run
from workers.formats.tarindex.directory import directory_data, directory_size
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.tree import NID_UNKNOWN, Inode

_DOTS: Final = (b".", b"..")


def chunk_bits(size: i64) -> i64:
    """log2 of the chunk size in blocks for a file of ``size`` > 0 bytes; one chunk up to 1 TiB."""
    bits: i64 = 0
    reach: i64 = BLOCK
    while reach < size and bits < EROFS_CHUNK_FORMAT_BLKBITS_MASK:
        reach <<= 1
        bits += 1
    return bits


def chunk_count(size: i64) -> i64:
    """Chunk records of a file of ``size`` > 0 bytes."""
    if size <= 1 << 40:
        return 1
    return ((size - 1) >> (chunk_bits(size) + BLOCK_BITS)) + 1


def _area(inode: Inode) -> i64:
    """Bytes of inode, xattrs and chunk indexes."""
    area: i64 = InodeCompact.SIZE
    if inode.extended:
        area = InodeExtended.SIZE
    area += inode.xattr_size
    if inode.layout == EROFS_INODE_CHUNK_BASED:
        area = (area + ChunkIndex.SIZE - 1) & -ChunkIndex.SIZE
        area += ChunkIndex.SIZE * chunk_count(inode.size)
    return area


class Layout:
    """The plan of an index: inodes in order of their numbers, and blocks of data at offsets."""

    def __init__(self, root: Inode, version: BuilderVersion, epoch: int, limits: TarLimits) -> None:
        self.root: Inode = root
        self.inodes: list[Inode] = []
        #: (byte offset in the index, bytes) of directory blocks and long symlinks.
        self.pieces: list[tuple[int, bytes]] = []
        self._version = version
        self._sorts: bool = version.sorts_xattrs
        self._early: bool = version.early_dots
        self._checks_48bit: bool = version.checks_48bit
        self._exact: bool = not version.compact_loses_nanoseconds
        self._epoch: i64 = epoch
        self._room: i64 = limits.max_index_bytes
        self._space = Allocator()
        #: Sorted names of the directories whose size is known and that are not written yet.
        self._names: dict[Inode, list[bytes]] = {}
        self._walk()
        self._space.place_all()
        self.blocks: i64 = self._space.tail

    def address(self, inode: Inode) -> i64:
        """Byte offset of ``inode`` in the index, once it is placed."""
        assert inode.run is not None
        return inode.run.addr * BLOCK + inode.offset

    def release(self) -> None:
        """Forget the tree. Its references run in circles: undone here, memory is free at once."""
        for inode in self.inodes:
            inode.parent = None
            inode.children = None
            inode.run = None
            inode.dots = None
        self.inodes.clear()
        self.pieces.clear()
        self._space.release()

    def _walk(self) -> None:
        root = self.root
        root.parent = root
        self._emit(root)
        assert root.run is not None
        self._space.place(root.run)
        stack: list[Inode] = [root]
        while stack:
            directory = stack.pop()
            children = directory.children
            assert children is not None
            names = self._names.pop(directory)
            inodes: list[Inode] = []
            below: list[Inode] = []
            for name in names:
                inode = children.get(name)
                if inode is None:
                    inode = directory if name == b"." else self._dotdot(directory)
                elif inode.ino == 0:
                    inode.parent = directory
                    self._emit(inode)
                    if inode.mode & S_IFMT == S_IFDIR:
                        below.append(inode)
                inodes.append(inode)
            self._write_directory(directory, names, inodes)
            below.reverse()
            stack.extend(below)

    def _emit(self, inode: Inode) -> None:
        """Choose the form of ``inode`` and allocate it, its tail and a symlink's blocks.

        ``erofs_prepare_inode_buffer`` and ``erofs_write_tail_end``.
        """
        kind = inode.mode & S_IFMT
        in_tar = inode.block >= 0 and kind != S_IFDIR
        if in_tar and self._checks_48bit and inode.i_u & EROFS_CHUNK_FORMAT_48BIT:
            # A device with a body whose number looks like a format that needs 48 bits: mkfs gives
            # up on the inode, not on the image, and its name points nowhere.
            inode.ino = -1
            inode.nid = NID_UNALLOCATED
            return
        inode.extended = self._needs_extended(inode)
        if kind == S_IFDIR:
            self._size_directory(inode)
        if inode.xattrs is not None or inode.whiteouts:
            self._finish_xattrs(inode)
        held: i64 = 0  # bytes of data that the index itself holds
        if in_tar:
            inode.layout = EROFS_INODE_CHUNK_BASED
        elif kind in (S_IFDIR, S_IFLNK):
            held = inode.size
        inode.area = _area(inode)
        self._charge(inode.area + held)
        blocks: Run | None = None
        if kind == S_IFLNK:
            blocks = self._symlink_blocks(inode)
        self._allocate(inode, held & (BLOCK - 1), blocks)
        self.inodes.append(inode)
        inode.ino = len(self.inodes)
        if kind == S_IFLNK:
            self._finish_symlink(inode, blocks)

    def _needs_extended(self, inode: Inode) -> bool:
        """True where the compact form cannot hold it (``erofs_should_use_inode_extended``)."""
        return (
            inode.mtime != self._epoch
            or inode.size < 0
            or inode.size > 0xFFFF_FFFF
            or inode.uid > 0xFFFF
            or inode.gid > 0xFFFF
            or inode.nlink > 0xFFFF
            or (self._exact and inode.nanoseconds != 0)
        )

    def _charge(self, size: i64) -> None:
        self._room -= size
        if self._room < 0:
            raise FormatError("limit-index_bytes", "the index would be too large")

    def _allocate(self, inode: Inode, tail: i64, blocks: Run | None) -> None:
        """Find room for ``inode`` and its ``tail``: behind it, or in one more of ``blocks``."""
        area = inode.area
        if tail:
            inode.layout = EROFS_INODE_FLAT_INLINE
            run = self._space.alloc(META, area, tail, InodeCompact.SIZE)
            if run is not None:
                inode.offset = run.off - area
                inode.run = run
                inode.inline = True
                self._space.attach(run, tail, 1)
                return
            inode.layout = EROFS_INODE_FLAT_PLAIN
            if blocks is not None:
                self._space.attach(blocks, BLOCK, 1)
        run = self._space.alloc(META, area, 0, InodeCompact.SIZE)
        assert run is not None
        inode.offset = run.off - area
        inode.run = run

    def _finish_xattrs(self, inode: Inode) -> None:
        xattrs = inode.xattrs
        if xattrs is None:
            xattrs = []
        if inode.whiteouts:
            xattrs = [*xattrs, (OVL_XATTR_ORIGIN, b"")]
            _, prefix = split_name(OVL_XATTR_ORIGIN)
            inode.xattr_size = grown_area(inode.xattr_size, len(OVL_XATTR_ORIGIN) - prefix, 0)
        if self._sorts and len(xattrs) > 1:
            xattrs = sorted(xattrs, key=sort_key)
        inode.xattrs = xattrs

    def _symlink_blocks(self, inode: Inode) -> Run | None:
        """Place the whole blocks of a long target."""
        whole = inode.size & -BLOCK
        if whole == 0:
            inode.i_u = EROFS_NULL_ADDR
            return None
        blocks = self._space.alloc(DATA, whole, 0, BLOCK)
        assert blocks is not None
        self._space.place(blocks)
        inode.i_u = blocks.addr
        self.pieces.append((blocks.addr * BLOCK, inode.target[:whole]))
        return blocks

    def _finish_symlink(self, inode: Inode, blocks: Run | None) -> None:
        """Put the rest of the target behind the inode, or into a block of its own."""
        rest = inode.target[inode.size & -BLOCK :]
        if rest and inode.inline:
            inode.tail = rest
        elif rest:
            if blocks is None:
                blocks = self._space.alloc(DATA, BLOCK, 0, BLOCK)
                assert blocks is not None
                self._space.place(blocks)
                inode.i_u = blocks.addr
            self.pieces.append((blocks.addr * BLOCK + blocks.off - BLOCK, rest))
        if blocks is not None:
            self._space.drop(blocks)

    def _size_directory(self, directory: Inode) -> None:
        """Size and link count of ``directory``; the tar's own names for dots are dropped."""
        children = directory.children
        assert children is not None
        if b"." in children or b".." in children:
            directory.children = {n: i for n, i in children.items() if n not in _DOTS}
        names = _sorted_entries(directory)
        self._names[directory] = names
        directory.size = directory_size(names)
        children = directory.children
        assert children is not None
        links = len(names) - len(children)
        for inode in children.values():
            if inode.mode & S_IFMT == S_IFDIR:
                links += 1
        directory.nlink = 1 if links > 0xFFFF and not directory.extended else links

    def _write_directory(self, directory: Inode, names: list[bytes], inodes: list[Inode]) -> None:
        """Place the data of ``directory``, then what its names stand for, and keep its bytes."""
        whole = directory.size & -BLOCK
        blocks: Run | None = None
        directory.i_u = EROFS_NULL_ADDR
        if whole:
            blocks = self._space.alloc(META, whole, 0, BLOCK)
            assert blocks is not None
            self._space.place(blocks)
            directory.i_u = blocks.addr
        for inode in inodes:
            if inode.nid == NID_UNKNOWN:
                self._place(inode)
        content = directory_data(names, inodes)
        rest = content[whole:]
        if blocks is not None:
            self.pieces.append((blocks.addr * BLOCK, content[:whole]))
        if rest and directory.inline:
            directory.tail = rest
        elif rest:
            if blocks is None:
                blocks = self._space.alloc(META, BLOCK, 0, BLOCK)
                assert blocks is not None
                self._space.place(blocks)
                directory.i_u = blocks.addr
            else:
                self._space.attach(blocks, BLOCK, 1)
            self.pieces.append((blocks.addr * BLOCK + blocks.off - BLOCK, rest))
        if blocks is not None:
            self._space.drop(blocks)

    def _dotdot(self, directory: Inode) -> Inode:
        if self._early and directory.dots:
            return directory.dots[0]
        assert directory.parent is not None
        return directory.parent

    def _place(self, inode: Inode) -> None:
        """Give ``inode`` its number, which is its address (``erofs_lookupnid``)."""
        run = inode.run
        if run is None:  # the ``..`` of an early builder can ask for one that has no place yet
            return
        self._space.place(run)
        inode.nid = self.address(inode) >> EROFS_ISLOTBITS


def _sorted_entries(directory: Inode) -> list[bytes]:
    """All names of ``directory`` with ``.`` and ``..``, in byte order."""
    children = directory.children
    assert children is not None
    names = list(children)
    names.append(b".")
    names.append(b"..")
    if directory.dots is not None:
        names.extend(_DOTS * (len(directory.dots) - 1))
    names.sort()
    return names
