"""Directory data: blocks of dirents and then their names (``fill_dirblock`` in mkfs.erofs)."""

from __future__ import annotations

from mypy_extensions import i64

from workers.formats.erofs.ondisk import BLOCK, Dirent, file_type
from workers.formats.tarindex.tree import Inode
from workers.formats.words import ByteQueue


def _next_block(names: list[bytes], start: i64) -> tuple[i64, i64]:
    """As many of ``names`` from ``start`` on as a block holds: (index behind them, bytes used)."""
    count: i64 = len(names)
    used: i64 = 0
    end = start
    while end < count:
        size: i64 = len(names[end]) + Dirent.SIZE
        if used + size > BLOCK:
            break
        used += size
        end += 1
    return end, used


def directory_size(names: list[bytes]) -> i64:
    """Bytes of the data of a directory with ``names``; all blocks but the last one are whole."""
    count: i64 = len(names)
    start: i64 = 0
    size: i64 = 0
    while start < count:
        start, used = _next_block(names, start)
        size = ((size + BLOCK - 1) & -BLOCK) + used
    return size


def directory_data(names: list[bytes], inodes: list[Inode]) -> bytes:
    """The data: ``names`` in byte order, and the inodes that they stand for, all with numbers."""
    queue = ByteQueue()
    count: i64 = len(names)
    start: i64 = 0
    while start < count:
        end, used = _next_block(names, start)
        offset = Dirent.SIZE * (end - start)
        at = start
        while at < end:
            inode = inodes[at]
            Dirent.NID.append(queue, inode.nid)
            Dirent.NAMEOFF.append(queue, offset)
            Dirent.FILE_TYPE.append(queue, file_type(inode.mode))
            Dirent.RESERVED.append(queue, 0)
            offset += len(names[at])
            at += 1
        at = start
        while at < end:
            queue.write(names[at])
            at += 1
        if end < count:
            queue.write(bytes(BLOCK - used))
        start = end
    return queue.getvalue()
