"""The file system in memory while a tar is read: inodes, names, and the rules for replacing them.

It keeps what mkfs.erofs keeps, oddities included: the parent of a replaced hard link stays the
parent of its first name, and a directory's link count wraps below zero.
"""

from __future__ import annotations

from workers.formats.erofs.allocator import Run
from workers.formats.erofs.ondisk import S_IFDIR, S_IFMT


class Inode:
    """One inode; ``children`` is not None once it was made as a directory."""

    def __init__(self, mode: int, parent: Inode | None) -> None:
        self.mode: int = mode
        self.uid: int = 0
        self.gid: int = 0
        self.mtime: int = 0
        self.nanoseconds: int = 0
        self.size: int = 0
        self.nlink: int = 0
        #: Device number, or chunk format; block address once laid out.
        self.u: int = 0
        #: First block of the data in the tar, -1 without data.
        self.block: int = -1
        self.target: bytes = b""
        self.xattrs: list[tuple[bytes, bytes]] | None = None
        #: Names in ``xattrs``, and the bytes that they take behind the inode.
        self.xattr_names: set[bytes] | None = None
        self.xattr_size: int = 0
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
        self.layout: int = 0
        self.ino: int = 0
        self.run: Run | None = None
        self.offset: int = 0
        #: Bytes of inode, xattrs and chunk records; the inline tail follows.
        self.area: int = 0
        self.tail: bytes = b""
        self.inline: bool = False
        self.nid: int = -1


def wrap32(value: int) -> int:
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
