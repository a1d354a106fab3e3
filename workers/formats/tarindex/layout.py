"""Decides where every inode, directory and long symlink lies: the walk of mkfs.erofs.

All children of a directory are allocated together, then the directory's own data, then its
sub-directories, depth first; names in byte order. Nothing is written here: see ``writer``.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i32_le, write_i64_le
from mypy_extensions import i32, i64

from app.catalog.builders import BuilderVersion
from workers.formats.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    CHUNK_FORMAT_48BIT,
    CHUNK_INDEX_SIZE,
    COMPACT_SIZE,
    DIRENT_SIZE,
    EROFS_NULL_ADDR,
    EXTENDED_SIZE,
    LAYOUT_CHUNK_BASED,
    LAYOUT_FLAT_INLINE,
    LAYOUT_FLAT_PLAIN,
    NID_UNALLOCATED,
    OVL_XATTR_ORIGIN,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    SLOT_BITS,
    file_type,
)
from workers.formats.erofs.xattrs import grown_area, sort_key, split_name
from workers.formats.errors import FormatError
from workers.formats.tarindex.allocator import DATA, META, Allocator, Run
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.tree import NID_UNKNOWN, Inode

_DOTS: Final = (b".", b"..")
_ZERO_BLOCK: Final = bytes(BLOCK)


def chunk_bits(size: i64) -> i64:
    """log2 of the chunk size in blocks for a file of ``size`` > 0 bytes; one chunk up to 1 TiB."""
    bits: i64 = 0
    reach: i64 = BLOCK
    while reach < size and bits < 31:
        reach <<= 1
        bits += 1
    return bits


def chunk_count(size: i64) -> i64:
    """Chunk records of a file of ``size`` > 0 bytes."""
    if size <= 1 << 40:
        return 1
    return ((size - 1) >> (chunk_bits(size) + BLOCK_BITS)) + 1


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
        """Choose the form of ``inode`` and allocate it, its tail and a symlink's blocks."""
        kind = inode.mode & S_IFMT
        inode.extended = (
            inode.mtime != self._epoch
            or inode.size < 0
            or inode.size > 0xFFFF_FFFF
            or inode.uid > 0xFFFF
            or inode.gid > 0xFFFF
            or inode.nlink > 0xFFFF
            or (self._exact and inode.nanoseconds != 0)
        )
        area: i64 = EXTENDED_SIZE if inode.extended else COMPACT_SIZE
        if kind == S_IFDIR:
            self._size_directory(inode)
        if inode.xattrs is not None or inode.whiteouts:
            self._finish_xattrs(inode)
            area += inode.xattr_size
        tail: i64 = 0
        data: Run | None = None
        if inode.block >= 0 and kind != S_IFDIR:
            inode.layout = LAYOUT_CHUNK_BASED
            area = ((area + 7) & ~7) + CHUNK_INDEX_SIZE * chunk_count(inode.size)
            if inode.u & CHUNK_FORMAT_48BIT and self._checks_48bit:
                # A device with a body whose number looks like a format that needs 48 bits: mkfs
                # gives up on the inode, not on the image, and its name points nowhere.
                inode.ino = -1
                inode.nid = NID_UNALLOCATED
                return
        elif kind == S_IFDIR:
            tail = inode.size & (BLOCK - 1)
        elif kind == S_IFLNK:
            tail = inode.size & (BLOCK - 1)
            data = self._symlink_blocks(inode)
        inode.area = area
        self._charge(area + inode.size if kind in (S_IFDIR, S_IFLNK) else area)
        self._allocate(inode, area, tail, data)
        self.inodes.append(inode)
        inode.ino = len(self.inodes)
        if kind == S_IFLNK:
            self._finish_symlink(inode, tail, data)

    def _charge(self, size: i64) -> None:
        self._room -= size
        if self._room < 0:
            raise FormatError("limit-index_bytes", "the index would be too large")

    def _allocate(self, inode: Inode, area: i64, tail: i64, data: Run | None) -> None:
        if tail:
            inode.layout = LAYOUT_FLAT_INLINE
            run = self._space.alloc(META, area, tail, COMPACT_SIZE)
            if run is not None:
                inode.offset = run.off - area
                inode.run = run
                inode.inline = True
                self._space.attach(run, tail, 1)
                return
            inode.layout = LAYOUT_FLAT_PLAIN
            if data is not None:
                self._space.attach(data, BLOCK, 1)
        run = self._space.alloc(META, area, 0, COMPACT_SIZE)
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
        whole = inode.size & ~(BLOCK - 1)
        if whole == 0:
            inode.u = EROFS_NULL_ADDR
            return None
        data = self._space.alloc(DATA, whole, 0, BLOCK)
        assert data is not None
        self._space.place(data)
        inode.u = data.addr
        self.pieces.append((data.addr * BLOCK, inode.target[:whole]))
        return data

    def _finish_symlink(self, inode: Inode, tail: i64, data: Run | None) -> None:
        if tail:
            text = inode.target[inode.size - tail :]
            if inode.inline:
                inode.tail = text
            else:
                if data is None:
                    data = self._space.alloc(DATA, BLOCK, 0, BLOCK)
                    assert data is not None
                    self._space.place(data)
                    inode.u = data.addr
                self.pieces.append((data.addr * BLOCK + data.off - BLOCK, text))
        if data is not None:
            self._space.drop(data)

    def _size_directory(self, directory: Inode) -> None:
        """Size and link count of ``directory`` (names that are dropped with it left out)."""
        children = directory.children
        assert children is not None
        if b"." in children or b".." in children:
            directory.children = {n: i for n, i in children.items() if n not in _DOTS}
        names = _sorted_entries(directory)
        self._names[directory] = names
        children = directory.children
        assert children is not None
        links = len(names) - len(children)
        size: i64 = 0
        for name in names:
            step: i64 = len(name) + DIRENT_SIZE
            if (size & (BLOCK - 1)) + step > BLOCK:
                size = (size + BLOCK - 1) & -BLOCK
            size += step
        for inode in children.values():
            if inode.mode & S_IFMT == S_IFDIR:
                links += 1
        directory.size = size
        directory.nlink = 1 if links > 0xFFFF and not directory.extended else links

    def _write_directory(self, directory: Inode, names: list[bytes], inodes: list[Inode]) -> None:
        whole = directory.size & ~(BLOCK - 1)
        tail = directory.size - whole
        data: Run | None = None
        directory.u = EROFS_NULL_ADDR
        if whole:
            data = self._space.alloc(META, whole, 0, BLOCK)
            assert data is not None
            self._space.place(data)
            directory.u = data.addr
        content = self._directory_bytes(names, inodes)
        if whole:
            assert data is not None
            self.pieces.append((data.addr * BLOCK, content[:whole]))
        if tail:
            if directory.inline:
                directory.tail = content[whole:]
            else:
                if data is None:
                    data = self._space.alloc(META, BLOCK, 0, BLOCK)
                    assert data is not None
                    self._space.place(data)
                    directory.u = data.addr
                else:
                    self._space.attach(data, BLOCK, 1)
                self.pieces.append((data.addr * BLOCK + data.off - BLOCK, content[whole:]))
        if data is not None:
            self._space.drop(data)

    def _directory_bytes(self, names: list[bytes], inodes: list[Inode]) -> bytes:
        """All dirent blocks; placing what they point to, in order, as their numbers are asked."""
        writer = BytesWriter()
        count: i64 = len(names)
        start: i64 = 0
        while start < count:
            # As many entries as a block holds: their records, then their names.
            used: i64 = 0
            end = start
            while end < count:
                used += len(names[end]) + DIRENT_SIZE
                if used > BLOCK:
                    used -= len(names[end]) + DIRENT_SIZE
                    break
                end += 1
            offset = DIRENT_SIZE * (end - start)
            at = start
            while at < end:
                inode = inodes[at]
                nid = inode.nid
                if nid == NID_UNKNOWN:
                    nid = self._nid(inode)
                write_i64_le(writer, nid)
                write_i32_le(writer, i32(offset | file_type(inode.mode) << 16))
                offset += len(names[at])
                at += 1
            at = start
            while at < end:
                writer.write(names[at])
                at += 1
            if end < count:
                writer.write(_ZERO_BLOCK[used:])
            start = end
        return writer.getvalue()

    def _dotdot(self, directory: Inode) -> Inode:
        if self._early and directory.dots:
            return directory.dots[0]
        assert directory.parent is not None
        return directory.parent

    def _nid(self, inode: Inode) -> i64:
        run = inode.run
        if run is None:  # the ``..`` of an early builder can ask for one that has no place yet
            return 0
        self._space.place(run)
        inode.nid = (run.addr * BLOCK + inode.offset) >> SLOT_BITS
        return inode.nid


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
