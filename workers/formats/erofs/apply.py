"""Applies tar entries to the tree: finding the place, replacing, whiteouts, links.

The rules are those of mkfs.erofs (lib/tar.c, lib/rebuild.c); see docs/formats.md.
"""

from __future__ import annotations

from typing import Final

from workers.formats.erofs.ondisk import (
    BLOCK_BITS,
    EROFS_NAME_LEN,
    OVL_XATTR_OPAQUE,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
)
from workers.formats.erofs.tree import Inode, unlink, wrap32
from workers.formats.erofs.versions import BuilderVersion
from workers.formats.erofs.xattrs import area_size, split_name
from workers.formats.errors import FormatError
from workers.formats.tar.entry import TYPE_LINK, Entry
from workers.formats.tar.limits import TarLimits
from workers.formats.tar.warning import Warnings, printable

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_PATH_MAX: Final = 4095

TIMES_KEEP: Final = 0
TIMES_FIXED: Final = 1
TIMES_CLAMP: Final = 2

#: Type flag -> mode type bits, from '0' on.
_MODES: Final = (S_IFREG, S_IFREG, S_IFLNK, S_IFCHR, 0o060000, S_IFDIR, S_IFIFO, S_IFREG)


class TreeBuilder:
    """Owns the tree under construction; ``apply`` takes one entry."""

    def __init__(
        self,
        version: BuilderVersion,
        limits: TarLimits,
        warnings: Warnings,
        aufs: bool,
        times: int,
        epoch: int,
    ) -> None:
        self._version = version
        self._limits = limits
        self._warnings = warnings
        self._aufs: bool = aufs
        self._times: int = times
        self._epoch: int = epoch
        self._early: bool = version.early_dots
        self._room: int = limits.max_entries
        self._max_path: int = limits.max_path_bytes
        self._max_directory: int = limits.max_directory_entries
        #: Entries taken.
        self.entries: int = 0
        root = Inode(S_IFDIR | 0o777, None)
        root.parent = root
        root.nlink = 2
        root.mtime = epoch
        root.children = {}
        if version.early_dots:
            root.dots = [root]
        self.root: Inode = root
        #: Directory part of a path -> directory; emptied whenever a directory goes.
        self._known: dict[bytes, Inode] = {}
        # Result of the last lookup: the directory and name of the entry found, if any.
        self._directory: Inode = root
        self._name: bytes = b""
        self._found: Inode | None = None
        self._is_root: bool = False
        self._is_whiteout: bool = False
        self._is_opaque: bool = False
        # A name whose inode a 1.8 builder took away before it looked for the link's target.
        self._hole: Inode | None = None
        self._hole_name: bytes = b""

    def apply(self, entry: Entry) -> bool:
        """Put ``entry`` into the tree; True when its body is to be read over."""
        self.entries += 1
        path = entry.path
        self._lookup(path, entry)
        if len(path) > _PATH_MAX:
            self._warnings.add("long-path", path, entry.header)
        mode = _MODES[entry.type - 48]
        if self._is_root:
            if mode != S_IFDIR:
                raise self._error(entry, "root-not-directory", "the root can only be a directory")
            self._fill(self.root, entry, S_IFDIR)
            return False
        inode = self._found
        if self._is_opaque:
            assert inode is not None
            self._add_xattrs(inode, [(OVL_XATTR_OPAQUE, b"y")], entry)
            return False
        if entry.type == TYPE_LINK:
            self._link(entry)
            return False
        if inode is None:
            inode = self._make(self._directory)
            self._put(inode, entry)
        elif mode != S_IFDIR or inode.mode & S_IFMT != S_IFDIR:
            parent = inode.parent
            self._remove(inode, entry)
            assert parent is not None
            inode = self._make(parent)
            self._put(inode, entry)
        if self._is_whiteout:
            return self._whiteout(inode, entry)
        return self._fill(inode, entry, mode)

    def _make(self, parent: Inode) -> Inode:
        self._room -= 1
        if self._room < 0:
            raise FormatError("limit-entries", "the archive has too many entries")
        return Inode(0, parent)

    def _put(self, inode: Inode, entry: Entry) -> None:
        children = self._directory.children
        assert children is not None
        children[self._name] = inode
        if len(children) > self._max_directory:
            raise self._error(entry, "limit-directory_entries", "a directory has too many names")

    def _remove(self, inode: Inode, entry: Entry) -> None:
        if inode.mode & S_IFMT == S_IFDIR:
            self._known.clear()
        if not unlink(inode):
            raise self._undefined(entry)

    def _undefined(self, entry: Entry) -> FormatError:
        """A replaced hard link's first directory is gone: mkfs.erofs goes on in freed memory."""
        return self._error(
            entry, "builder-undefined", "mkfs.erofs gives no defined result for this order of links"
        )

    def _whiteout(self, inode: Inode, entry: Entry) -> bool:
        """Turn ``inode`` into a 0:0 device; its directory gets the origin mark."""
        if inode.mode & S_IFMT == S_IFDIR:
            self._known.clear()
            self._warnings.add("whiteout-directory", entry.path, entry.header)
        inode.u = 0
        assert inode.parent is not None
        if inode.parent.freed:
            raise self._undefined(entry)
        inode.parent.whiteouts = True
        name = self._name
        if not name:
            self._warnings.add("whiteout-empty", entry.path, entry.header)
        elif name == b"." or name == b"..":
            self._warnings.add("whiteout-dots", entry.path, entry.header)
        if entry.size:
            self._warnings.add("body-on-whiteout", entry.path, entry.header)
        return self._fill(inode, entry, (inode.mode & ~S_IFMT) | S_IFCHR)

    def _fill(self, inode: Inode, entry: Entry, mode: int) -> bool:
        """Set what the header says; ``mode`` has type bits (and, for a whiteout, permissions)."""
        kind = mode & S_IFMT
        if not self._is_whiteout:
            mode = kind | entry.mode
            if kind == S_IFCHR or kind == 0o060000:
                inode.u = entry.device
        inode.mode = mode
        inode.uid = entry.uid
        inode.gid = entry.gid
        self._set_times(inode, entry)
        size = entry.size
        skips = False
        if kind == S_IFDIR:
            if inode.nlink == 0:
                inode.nlink = 2
                if self._early:
                    assert inode.parent is not None
                    if inode.parent.freed:
                        raise self._undefined(entry)
                    self._make_dots(inode)
            if inode.children is None:
                inode.children = {}
        else:
            if kind == S_IFLNK:
                self._set_target(inode, entry)
                size = len(inode.target)
            elif size:
                inode.block = entry.data >> BLOCK_BITS
                skips = True
                if kind != S_IFREG and not self._is_whiteout:
                    self._warnings.add("body-on-special", entry.path, entry.header)
            inode.nlink = wrap32(inode.nlink + 1)
        inode.size = size & 0xFFFF_FFFF_FFFF_FFFF
        if entry.xattrs is not None:
            self._add_xattrs(inode, entry.xattrs, entry)
        return skips

    def _make_dots(self, inode: Inode) -> None:
        assert inode.parent is not None
        if inode.dots is None:
            inode.dots = []
        inode.dots.append(inode.parent)

    def _set_times(self, inode: Inode, entry: Entry) -> None:
        mtime = entry.mtime
        nanoseconds = entry.nanoseconds
        if self._times != TIMES_KEEP:
            unsigned = mtime & 0xFFFF_FFFF_FFFF_FFFF
            if self._times == TIMES_FIXED or unsigned >= self._epoch:
                mtime = self._epoch
                nanoseconds = 0
        elif nanoseconds and mtime == self._epoch and self._version.compact_loses_nanoseconds:
            self._warnings.add("nanoseconds", entry.path, entry.header)
        inode.mtime = mtime
        inode.nanoseconds = nanoseconds

    def _set_target(self, inode: Inode, entry: Entry) -> None:
        target = entry.link
        if len(target) > self._limits.max_symlink_bytes:
            raise self._error(entry, "limit-symlink_bytes", "a symbolic link's target is too long")
        if not target or len(target) > _PATH_MAX:
            self._warnings.add("long-target", entry.path, entry.header)
        inode.target = target

    def _add_xattrs(self, inode: Inode, xattrs: list[tuple[bytes, bytes]], entry: Entry) -> None:
        held = inode.xattrs
        if held is None:
            held = []
        for name, value in xattrs:
            index, prefix = split_name(name)
            if index == 0 and not self._version.keeps_unknown_xattrs:
                self._warnings.add("xattr-dropped", entry.path, entry.header)
                continue
            if len(name) - prefix > 255:
                self._warnings.add("xattr-name", entry.path, entry.header)
            if len(value) > 0xFFFF:
                self._warnings.add("xattr-value", entry.path, entry.header)
            if inode.xattrs is not None and any(name == other for other, _ in inode.xattrs):
                self._warnings.add("xattr-duplicate", entry.path, entry.header)
            held.append((name, value))
        if held:
            inode.xattrs = held
            size = area_size(held)
            if size > self._limits.max_xattr_bytes + 12 * len(held):
                raise self._error(entry, "limit-xattr_bytes", "an inode's xattrs are too large")
            if (size - 12) // 4 + 1 > 0xFFFF:
                self._warnings.add("xattr-area", entry.path, entry.header)

    def _link(self, entry: Entry) -> None:
        """A hard link: the name found now points to the target's inode."""
        directory = self._directory
        name = self._name
        old = self._found
        if not self._version.links_in_order:
            if old is not None:
                self._remove(old, entry)
            self._hole = directory
            self._hole_name = name
        self._lookup(entry.link, entry)
        self._hole = None
        target = self._found
        if self._is_root:
            raise self._error(entry, "link-to-directory", "a hard link to a directory")
        if self._directory is directory and self._name == name and target is not None:
            return
        if target is None:
            raise self._error(entry, "link-target-missing", "a hard link's target does not exist")
        if target.mode & S_IFMT == S_IFDIR:
            raise self._error(entry, "link-to-directory", "a hard link to a directory")
        target.nlink = wrap32(target.nlink + 1)
        if old is not None and self._version.links_in_order:
            self._remove(old, entry)
        if entry.xattrs is not None:
            known = target.xattrs or []
            if any(item not in known for item in entry.xattrs):
                self._warnings.add("xattr-on-link", entry.path, entry.header)
        self._directory = directory
        self._name = name
        self._room -= 1
        if self._room < 0:
            raise FormatError("limit-entries", "the archive has too many entries")
        self._put(target, entry)

    def _lookup(self, path: bytes, entry: Entry) -> None:
        """Find the place of ``path``; missing parents are made. Fills the result fields."""
        self._is_root = False
        self._is_whiteout = False
        self._is_opaque = False
        split = path.rfind(b"/")
        if split > 0:
            head = path[:split]
            name = path[split + 1 :]
            directory = self._known.get(head)
        else:
            head = b""
            name = path
            directory = self.root if split < 0 else None
        if (
            directory is not None
            and name
            and name[0] != 46
            and len(name) <= EROFS_NAME_LEN
            and self._hole is None
        ):
            children = directory.children
            assert children is not None
            self._directory = directory
            self._name = name
            self._found = children.get(name)
            return
        self._walk(path, entry)
        if (
            split > 0
            and not self._is_root
            and not self._is_opaque
            and not self._is_whiteout
            and name == self._name
            and name != b"."
            and name != b".."
        ):
            self._known[head] = self._directory

    def _walk(self, path: bytes, entry: Entry) -> None:
        if len(path) > self._max_path:
            raise self._error(entry, "limit-path_bytes", "a path is too long")
        parts = path.split(b"/")
        if len(parts) > self._limits.max_path_depth:
            raise self._error(entry, "limit-path_depth", "a path has too many components")
        here = self.root  # the directory that the next name is looked up in
        last = len(parts) - 1
        self._is_root = True
        self._found = None
        for position in range(last + 1):
            part = parts[position]
            if part == b"" or part == b".":
                continue
            if part == b"..":
                self._warnings.add("dotdot", path, entry.header)
                assert here.parent is not None
                here = here.parent
                if here.freed:
                    raise self._undefined(entry)
                continue
            if position == last and self._aufs and part.startswith(_WHITEOUT):
                if part == _OPAQUE:
                    self._is_opaque = not self._is_root
                    return
                if part != _WHITEOUT and not self._version.whiteouts_by_prefix:
                    self._warnings.add("whiteout-kept", entry.path, entry.header)
                    here = self._step(here, part, True, entry)
                    continue
                part = part[4:]
                self._is_whiteout = True
                if self._early and part in (b".", b".."):
                    raise self._error(
                        entry, "builder-crash", "this builder version crashes on such a whiteout"
                    )
            here = self._step(here, part, position == last, entry)

    def _step(self, here: Inode, name: bytes, final: bool, entry: Entry) -> Inode:
        """Look ``name`` up in ``here``; where the walk goes on."""
        children = here.children
        if children is None:
            raise self._error(entry, "builder-crash", "a path leads through what is no directory")
        if here is self._hole and name == self._hole_name:
            raise self._error(entry, "link-target-missing", "a hard link's target was replaced")
        inode = children.get(name)
        self._directory = here
        self._name = name
        self._found = inode
        self._is_root = False
        if inode is not None:
            if inode.mode & S_IFMT != S_IFDIR and not final:
                raise self._error(entry, "not-a-directory", "a path leads through a non-directory")
            return inode
        if len(name) > EROFS_NAME_LEN:
            raise self._error(entry, "name-too-long", "a name is longer than 255 bytes")
        if final:
            return here
        made = self._make_parent(here)
        children[name] = made
        self._found = made
        if len(children) > self._max_directory:
            raise self._error(entry, "limit-directory_entries", "a directory has too many names")
        return made

    def _make_parent(self, parent: Inode) -> Inode:
        """A directory that the archive did not declare, after its parent as that is now."""
        made = self._make(parent)
        made.mode = S_IFDIR | 0o755 | (parent.mode & 0o022)
        made.uid = parent.uid
        made.gid = parent.gid
        made.mtime = parent.mtime
        made.nanoseconds = parent.nanoseconds
        made.nlink = 2
        made.children = {}
        if self._early:
            self._make_dots(made)
        return made

    def _error(self, entry: Entry, code: str, message: str) -> FormatError:
        return FormatError(code, message, entry=printable(entry.path), offset=entry.header)
