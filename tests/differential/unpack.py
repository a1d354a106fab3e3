"""Unpacks a runtime's view of an archive into a tree, as containerd does for an overlay snapshot.

The rules that need the tree so far: parents, replacing, whiteouts, hard links and what is done last
(pkg/archive of containerd 2.4), and what the kernel does for those calls. The layer is unpacked by
root, alone: parents that it does not declare are made, not copied from lower layers.
"""

from __future__ import annotations

import stat
from typing import Final

from tests.differential.runtime import RuntimeEntry, RuntimeView
from tests.differential.tree import Node, Refused, directory
from tests.differential.xattrs import CAPABILITY, chmod, set_xattr

OPAQUE: Final = b"trusted.overlay.opaque"
_NAME_MAX: Final = 255
_PATH_MAX: Final = 4095
_LINKS_MAX: Final = 255
_NOBODY: Final = 0xFFFF_FFFF
_KINDS: Final = {
    "0": stat.S_IFREG, "2": stat.S_IFLNK, "3": stat.S_IFCHR, "4": stat.S_IFBLK, "6": stat.S_IFIFO,
}  # fmt: skip

Path = list[bytes]


def unpack(view: RuntimeView) -> Node:
    """The root of the tree. Raises Refused where the runtime stops."""
    unpacking = _Unpacking()
    for entry in view.entries:
        unpacking.apply(entry)
    if view.error:
        raise Refused(view.error)
    unpacking.finish()
    return unpacking.root


class _Unpacking:
    def __init__(self) -> None:
        self.root = directory()
        self._directories: list[RuntimeEntry] = []

    def apply(self, entry: RuntimeEntry) -> None:
        if entry.action == "nothing":
            return
        head, _, name = entry.name.rpartition(b"/")
        parents = self._resolve(head)
        if name == b"..":
            return  # of the root, which is the root
        if len(b"/".join([*parents, name])) > _PATH_MAX:
            raise Refused("a path is too long")
        parent = self._make_parents(parents)
        if entry.action == "opaque":
            parent.xattrs[OPAQUE] = b"y"
        elif entry.action == "whiteout":
            self._whiteout(parent, name[4:], entry)
        elif entry.action == "clear":
            self._names(parent).pop(name, None)
        else:
            self._make(parent, name, entry)

    def finish(self) -> None:
        """Times of directories come last, by name: whatever has the name by then gets them."""
        for entry in self._directories:
            node = self._at(self._resolve(entry.name))
            if node is None:
                raise Refused("a directory is gone")
            node.mtime = entry.mtime

    def _names(self, node: Node | None) -> dict[bytes, Node]:
        if node is None or node.children is None:
            raise Refused("a path leads through what is no directory")
        return node.children

    def _at(self, path: Path) -> Node | None:
        node: Node | None = self.root
        for name in path:
            if node is None:
                return None
            node = self._names(node).get(name)
        return node

    def _resolve(self, text: bytes) -> Path:
        """Follow symbolic links, as if the tree's root were the system's; names may be missing."""
        found: Path = []
        pending = text.split(b"/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name == b"..":
                del found[-1:]
            if name in (b"", b".", b".."):
                continue
            if len(name) > _NAME_MAX:
                raise Refused("a name is too long")
            node = self._at([*found, name])
            if node is None or not node.is_symlink:
                found.append(name)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise Refused("too many symbolic links")
            if node.target.startswith(b"/"):
                found = []
            pending += node.target.split(b"/")[::-1]
        return found

    def _make_parents(self, path: Path) -> Node:
        node = self.root
        for name in path:
            names = self._names(node)
            if name not in names:
                names[name] = _born(node, directory())
                node.mtime = None
            node = names[name]
        self._names(node)
        return node

    def _whiteout(self, parent: Node, name: bytes, entry: RuntimeEntry) -> None:
        names = self._names(parent)
        if name in names:
            raise Refused("a whiteout of what the layer itself holds")
        names[name] = _born(parent, Node(stat.S_IFCHR, 0))
        parent.mtime = None
        _chown(names[name], entry)

    def _make(self, parent: Node, name: bytes, entry: RuntimeEntry) -> None:
        names = self._names(parent)
        parent.mtime = None  # until the end, if the layer declares it
        old = names.get(name)
        if old is not None and not (old.is_directory and entry.kind == "5"):
            del names[name]
            old = None
        if len(name) > _NAME_MAX:
            raise Refused("a name is too long")
        if entry.kind == "5":
            node = old or _born(parent, directory())
            self._directories.append(entry)
        elif entry.kind == "1":
            node = self._link_target(entry.link)
        else:
            node = _born(parent, _new(entry))
        names[name] = node
        _chown(node, entry)
        for xattr, value in entry.xattrs.items():
            set_xattr(node, xattr, value)
        if node.is_symlink:
            node.mode = entry.mode  # has no meaning; kept as the reader sees it
        else:
            chmod(node, entry.mode)
        node.mtime = entry.mtime

    def _link_target(self, link: bytes) -> Node:
        head, _, name = link.rpartition(b"/")
        path = self._resolve(head)
        if name == b"..":
            del path[-1:]
        elif name not in (b"", b"."):
            path.append(name)
        node = self._at(path)
        if node is None or node.is_directory:
            raise Refused("a hard link to nothing or to a directory")
        return node


def _new(entry: RuntimeEntry) -> Node:
    node = Node(_KINDS[entry.kind], entry.mode)
    if entry.kind == "0":
        node.size = entry.size
        node.content = entry.sha256
    elif entry.kind == "2":
        if not 0 < len(entry.link) <= _PATH_MAX:
            raise Refused("a symbolic link's target is empty or too long")
        node.target = entry.link
    elif entry.kind in "34":
        node.device = (entry.device[0] & 0xFFF, entry.device[1] & 0xF_FFFF)  # mknod(2)
    return node


def _born(parent: Node, node: Node) -> Node:
    """What is made in a directory with the set-group-ID bit belongs to its group."""
    if parent.mode & stat.S_ISGID:
        node.gid = parent.gid
    return node


def _chown(node: Node, entry: RuntimeEntry) -> None:
    """lchown(2): ids have 32 bits, and the highest means that the owner stays."""
    if entry.uid & _NOBODY != _NOBODY:
        node.uid = entry.uid & _NOBODY
    if entry.gid & _NOBODY != _NOBODY:
        node.gid = entry.gid & _NOBODY
    if not node.is_directory and node.xattrs.get(CAPABILITY):
        del node.xattrs[CAPABILITY]
