"""The tree that a kernel shows of an index over its tar."""

from __future__ import annotations

import stat
from hashlib import sha256
from typing import Final

from tests.differential.tree import Node
from tests.differential.xattrs import shown_xattr
from workers.formats.erofs.ondisk import BLOCK, OVL_XATTR_ORIGIN
from workers.formats.erofs.reader import ImageInode, ImageReader

_SPACES: Final = (b"user.", b"trusted.", b"security.", b"system.posix_acl_")


def index_tree(index: bytes, tar: bytes) -> Node:
    """Read every inode, and contents through their chunk addresses. Raises FormatError."""
    reader = ImageReader(index)
    nodes: dict[int, Node] = {}
    paths: dict[bytes, Node] = {}
    for path, inode in reader.walk():
        node = nodes.get(inode.nid)
        if node is None:
            node = nodes[inode.nid] = _node(reader, inode, tar)
        paths[path] = node
        if path:
            parent, _, name = path.rpartition(b"/")
            names = paths[parent].children
            assert names is not None
            names[name] = node
    return paths[b""]


def _node(reader: ImageReader, inode: ImageInode, tar: bytes) -> Node:
    kind = inode.kind
    node = Node(
        kind=kind,
        mode=stat.S_IMODE(inode.mode),
        uid=inode.uid,
        gid=inode.gid,
        mtime=inode.mtime * 10**9 + inode.nanoseconds,
        xattrs=_visible(inode),
    )
    if kind == stat.S_IFDIR:
        node.children = {}
    elif kind == stat.S_IFLNK:
        node.target = reader.content(inode)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        number = inode.union
        node.device = (number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)
    elif kind == stat.S_IFREG:
        node.size = inode.size
        node.content = _content(reader, inode, tar)
    return node


def _content(reader: ImageReader, inode: ImageInode, tar: bytes) -> str:
    """SHA-256 in hex of a file's bytes in the tar."""
    chunks = reader.chunks(inode)
    if not chunks:
        return sha256(bytes(inode.size)).hexdigest() if inode.size < 1 << 26 else "huge"
    start = chunks[0].block * BLOCK
    end = start + inode.size
    if len(chunks) > 1 or chunks[0].device != 1 or end > len(tar):
        return "outside the tar"
    return sha256(memoryview(tar)[start:end]).hexdigest()


def _visible(inode: ImageInode) -> dict[bytes, bytes]:
    """The xattrs that the kernel lists, the first of a name.

    Names without one of its prefixes have no handler; the mark of directories that hold whiteouts
    is overlayfs's own.
    """
    found: dict[bytes, bytes] = {}
    for name, value in inode.xattrs:
        if name.startswith(_SPACES):
            found.setdefault(name, shown_xattr(name, value))
    if found.get(OVL_XATTR_ORIGIN) == b"":
        del found[OVL_XATTR_ORIGIN]
    return found
