"""The file system in memory while a tar is read: inodes, names, and the rules for replacing them.

It keeps what mkfs.erofs keeps, oddities included: the parent of a replaced hard link stays the
parent of its first name, and a directory's link count wraps below zero.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from workers.formats.erofs.ondisk import S_IFDIR, S_IFMT
from workers.formats.tarindex.allocator import Run

#: An inode's number before it has a place; mkfs.erofs writes this.
NID_UNKNOWN: Final = 0


class Inode:
    """One inode; ``children`` is not None once it was made as a directory."""

    def __init__(self, mode: i64, parent: Inode | None) -> None:
        self.mode: i64 = mode
        self.uid: i64 = 0
        self.gid: i64 = 0
        self.mtime: i64 = 0
        self.nanoseconds: i64 = 0
        #: As the image's unsigned 64-bit number, negative from 2^63 on.
        self.size: i64 = 0
        self.nlink: i64 = 0
        #: Device number; block address of a directory or symlink once it is laid out.
        self.i_u: i64 = 0
        #: First block of the data in the tar, -1 without data.
        self.block: i64 = -1
        self.target: bytes = b""
        self.xattrs: list[tuple[bytes, bytes]] | None = None
        #: Names in ``xattrs``, and the bytes that they take behind the inode.
        self.xattr_names: set[bytes] | None = None
        self.xattr_size: i64 = 0
        self.parent: Inode | None = parent
        self.children: dict[bytes, Inode] | None = None
        #: A whiteout was made in it: it gets the overlay origin mark when written.
        self.whiteouts: bool = False
        #: A directory that was removed; what still points to it is freed memory in mkfs.erofs.
        self.freed: bool = False
        #: What ``..`` shows where builders make it early, once a time it was made.
        self.dots: list[Inode] | None = None
        # Layout.
        self.extended: bool = False
        self.layout: i64 = 0
        self.ino: i64 = 0
        self.run: Run | None = None
        self.offset: i64 = 0
        #: Bytes of inode, xattrs and chunk records; the inline tail follows.
        self.area: i64 = 0
        self.tail: bytes = b""
        self.inline: bool = False
        self.nid: i64 = NID_UNKNOWN


def wrap32(value: i64) -> i64:
    """``value`` as the unsigned 32-bit number that a link count is."""
    return value & 0xFFFF_FFFF


def make_dots(inode: Inode) -> None:
    """What early builders do with a new directory: its ``..`` is the parent of this moment."""
    assert inode.parent is not None
    if inode.dots is None:
        inode.dots = []
    inode.dots.append(inode.parent)


def unlink(inode: Inode) -> bool:
    """One name of ``inode`` goes, and for a directory everything below it.

    False: mkfs.erofs would count down the links of a directory that it has freed already.
    """
    if inode.mode & S_IFMT != S_IFDIR:
        inode.nlink = wrap32(inode.nlink - 1)
        inode.freed = inode.children is not None
        return True
    sound = True
    pending = [inode]
    gone: list[Inode] = []
    while pending:
        item = pending.pop()
        item.nlink = wrap32(item.nlink - 1)
        if item.mode & S_IFMT != S_IFDIR:
            continue
        gone.append(item)
        if item.children is not None:
            pending.extend(item.children.values())
        if item.parent is not None:
            sound = sound and not item.parent.freed
            item.parent.nlink = wrap32(item.parent.nlink - 1)
    for item in gone:
        item.freed = True
    return sound
