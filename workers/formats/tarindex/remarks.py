"""Warnings about what the tree shows and the container runtime would not: containerd's unpack.

It applies a hard link's own header to the file, makes parents with attributes of lower layers, and
takes a pax global header for an entry that is cleared away. See ``runtime`` for single headers.
"""

from __future__ import annotations

from workers.formats.erofs.ondisk import S_IFDIR, S_IFLNK, S_IFMT
from workers.formats.erofs.xattrs import split_name
from workers.formats.tarindex.entry import UNCHANGED, Entry
from workers.formats.tarindex.runtimexattrs import CAPABILITY, is_set, xattr_remark
from workers.formats.tarindex.tree import Inode
from workers.formats.tarindex.warning import Warnings


def remark_link(target: Inode, entry: Entry, keeps_times: bool, warnings: Warnings) -> None:
    """A hard link's header goes to the inode, and chown(2) takes its capabilities away."""
    same = (
        (target.mode & 0o7777 == entry.mode or target.mode & S_IFMT == S_IFLNK)
        and (target.uid == entry.uid or entry.uid == UNCHANGED)
        and (target.gid == entry.gid or entry.gid == UNCHANGED)
    )
    if keeps_times and (target.mtime != entry.mtime or target.nanoseconds != entry.nanoseconds):
        same = False
    held = target.xattrs or []
    given = entry.xattrs or []
    if any(name == CAPABILITY and value for name, value in held):
        same = same and any(name == CAPABILITY for name, _ in given)
    if not same:
        warnings.add("link-attributes", entry.path, entry.header)
    if any(item not in held and is_set(item[0], item[1]) for item in given):
        warnings.add("xattr-on-link", entry.path, entry.header)


def remark_acls(inode: Inode, entry: Entry, warnings: Warnings) -> None:
    """A directory's ACL meets the mode of each later header of the directory."""
    for name, value in inode.xattrs or []:
        index, prefix = split_name(name)
        if xattr_remark(name, value, index, prefix, inode.mode) == "xattr-acl":
            warnings.add("xattr-acl", entry.path, entry.header)


def remark_undeclared(root: Inode, warnings: Warnings) -> None:
    """Directories below ``root`` that were only made as parents."""
    stack: list[tuple[Inode, tuple[bytes, ...]]] = [(root, ())]
    while stack:
        directory, path = stack.pop()
        assert directory.children is not None
        for name, inode in directory.children.items():
            if inode.children is None or inode.mode & S_IFMT != S_IFDIR:
                continue
            below = (*path, name)
            if inode.undeclared >= 0:
                warnings.add("undeclared-parent", b"/".join(below), inode.undeclared)
            stack.append((inode, below))


def clears_nothing(root: Inode, path: bytes) -> bool:
    """True if removing ``path`` changes nothing: it is the root, or a new name in a directory."""
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if not parts:
        return True
    name = parts.pop()
    here: Inode | None = root
    for part in parts:
        if here is None or here.children is None:
            return False
        here = here.children.get(part)
    if name == b".." or b".." in parts or name.startswith(b".wh."):
        return False
    return here is not None and here.children is not None and name not in here.children
