"""Applies tar entries to the tree: replacing, whiteouts, links, attributes.

The rules are those of mkfs.erofs (lib/tar.c, ``tarerofs_parse_tar``); see docs/formats.md.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from app.catalog.builders import BuilderVersion
from workers.formats.erofs.ondisk import (
    BLOCK_BITS,
    OVL_XATTR_OPAQUE,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
)
from workers.formats.erofs.xattrs import grown_area, icount, split_name
from workers.formats.tarindex.entry import TYPE_FILE, TYPE_LINK, Entry
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.places import (
    PLACE_OPAQUE,
    PLACE_ROOT,
    PLACE_WHITEOUT,
    Place,
    Places,
    refusal,
    undefined,
)
from workers.formats.tarindex.tree import Inode, make_dots, unlink, wrap32
from workers.formats.tarindex.warning import Warnings

_PATH_MAX: Final = 4095

TIMES_KEEP: Final = 0
TIMES_FIXED: Final = 1
TIMES_CLAMP: Final = 2

#: Type flag from '0' on -> type bits of the mode. Of unknown length: see ``ondisk._FILE_TYPES``.
_KINDS: Final[tuple[int, ...]] = (
    *(S_IFREG, S_IFREG, S_IFLNK, S_IFCHR),
    *(S_IFBLK, S_IFDIR, S_IFIFO, S_IFREG),
)


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
        self._times: int = times
        self._epoch: int = epoch
        self._early: bool = version.early_dots
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
        self._places = Places(root, version, limits, warnings, aufs)

    def apply(self, entry: Entry) -> bool:
        """Put ``entry`` into the tree; True when its body is to be read over.

        Raises FormatError where mkfs.erofs refuses or a limit is passed.
        """
        self.entries += 1
        head = entry.head
        place = self._places.lookup(head, entry.name, entry)
        if head is not None and len(head) + 1 + len(entry.name) > _PATH_MAX:
            self._warnings.add("long-path", entry.path, entry.header)
        kind = _KINDS[entry.type - TYPE_FILE]
        if place.kind == PLACE_ROOT:
            if kind != S_IFDIR:
                raise refusal(entry, "root-not-directory", "the root can only be a directory")
            return self._fill(self.root, entry, S_IFDIR | entry.mode, False)
        inode = place.found
        if place.kind == PLACE_OPAQUE:
            assert inode is not None
            self._add_xattrs(inode, [(OVL_XATTR_OPAQUE, b"y")], entry)
            return False
        if entry.type == TYPE_LINK:
            self._link(place, entry)
            return False
        if inode is None:
            inode = self._places.make(place.directory, entry)
            self._places.put(place.directory, place.name, inode, entry)
        elif kind != S_IFDIR or inode.mode & S_IFMT != S_IFDIR:
            parent = inode.parent
            self._remove(inode, entry)
            assert parent is not None
            inode = self._places.make(parent, entry)
            self._places.put(place.directory, place.name, inode, entry)
        if place.kind == PLACE_WHITEOUT:
            return self._whiteout(inode, place.name, entry)
        if kind in (S_IFCHR, S_IFBLK):
            inode.i_u = entry.device
        return self._fill(inode, entry, kind | entry.mode, False)

    def _remove(self, inode: Inode, entry: Entry) -> None:
        if inode.mode & S_IFMT == S_IFDIR:
            self._places.forget()
        if not unlink(inode):
            raise undefined(entry)

    def _whiteout(self, inode: Inode, name: bytes, entry: Entry) -> bool:
        """Turn ``inode`` into a 0:0 device; its directory gets the origin mark."""
        if inode.mode & S_IFMT == S_IFDIR:
            self._places.forget()
            self._warnings.add("whiteout-directory", entry.path, entry.header)
        inode.i_u = 0
        assert inode.parent is not None
        if inode.parent.freed:
            raise undefined(entry)
        inode.parent.whiteouts = True
        if not name:
            self._warnings.add("whiteout-empty", entry.path, entry.header)
        elif name == b"." or name == b"..":
            self._warnings.add("whiteout-dots", entry.path, entry.header)
        if entry.size:
            self._warnings.add("body-on-whiteout", entry.path, entry.header)
        return self._fill(inode, entry, (inode.mode & ~S_IFMT) | S_IFCHR, True)

    def _fill(self, inode: Inode, entry: Entry, mode: i64, whiteout: bool) -> bool:
        """Set what the header says, and ``mode``; True when the body is to be read over."""
        inode.mode = mode
        inode.uid = entry.uid
        inode.gid = entry.gid
        self._set_times(inode, entry)
        kind = mode & S_IFMT
        skips = False
        inode.size = entry.size
        if kind == S_IFDIR:
            self._open_directory(inode, entry)
        else:
            if kind == S_IFLNK:
                self._set_target(inode, entry)
                inode.size = len(inode.target)
            elif entry.size:
                inode.block = self._address(entry)
                skips = True
                if kind != S_IFREG and not whiteout:
                    self._warnings.add("body-on-special", entry.path, entry.header)
            inode.nlink = wrap32(inode.nlink + 1)
        if entry.xattrs is not None:
            self._add_xattrs(inode, entry.xattrs, entry)
        return skips

    def _open_directory(self, inode: Inode, entry: Entry) -> None:
        """Let ``inode`` have names in it, if it was no directory before."""
        if inode.nlink == 0:
            inode.nlink = 2
            if self._early:
                assert inode.parent is not None
                if inode.parent.freed:
                    raise undefined(entry)
                make_dots(inode)
        if inode.children is None:
            inode.children = {}

    def _address(self, entry: Entry) -> int:
        """First block of the body, in 32 bits; sizes that links declare can push it beyond them.

        Before 1.9, mkfs.erofs cuts the address. From then on it would write 48-bit addresses, which
        is another format.
        """
        block = entry.data >> BLOCK_BITS
        if block + (entry.size >> BLOCK_BITS) > 0xFFFF_FFFF and self._version.checks_48bit:
            raise refusal(entry, "address-too-large", "a body's address exceeds 32 bits of blocks")
        return block & 0xFFFF_FFFF

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
            raise refusal(entry, "limit-symlink_bytes", "a symbolic link's target is too long")
        if not target or len(target) > _PATH_MAX:
            self._warnings.add("long-target", entry.path, entry.header)
        inode.target = target

    def _add_xattrs(self, inode: Inode, xattrs: list[tuple[bytes, bytes]], entry: Entry) -> None:
        held = inode.xattrs
        if held is None:
            held = []
        names = inode.xattr_names
        if names is None:
            names = set()
        size = inode.xattr_size
        for name, value in xattrs:
            index, prefix = split_name(name)
            if index == 0 and not self._version.keeps_unknown_xattrs:
                self._warnings.add("xattr-dropped", entry.path, entry.header)
                continue
            if len(name) - prefix > 255:
                self._warnings.add("xattr-name", entry.path, entry.header)
            if len(value) > 0xFFFF:
                self._warnings.add("xattr-value", entry.path, entry.header)
            if name in names:
                self._warnings.add("xattr-duplicate", entry.path, entry.header)
            names.add(name)
            held.append((name, value))
            size = grown_area(size, len(name) - prefix, len(value))
        if held:
            inode.xattrs = held
            inode.xattr_names = names
            inode.xattr_size = size
            if size > self._limits.max_xattr_bytes + 12 * len(held):
                raise refusal(entry, "limit-xattr_bytes", "an inode's xattrs are too large")
            if icount(size) > 0xFFFF:
                self._warnings.add("xattr-area", entry.path, entry.header)

    def _link(self, place: Place, entry: Entry) -> None:
        """A hard link: the name at ``place`` now stands for the target's inode."""
        old = place.found
        gone: Place | None = None
        if not self._version.links_in_order:
            if old is not None:
                self._remove(old, entry)
            gone = place
        other = self._places.lookup_path(entry.link, entry, gone)
        target = other.found
        if other.kind == PLACE_ROOT:
            raise refusal(entry, "link-to-directory", "a hard link to a directory")
        if target is None:
            raise refusal(entry, "link-target-missing", "a hard link's target does not exist")
        if other.directory is place.directory and other.name == place.name:
            return
        if target.mode & S_IFMT == S_IFDIR:
            raise refusal(entry, "link-to-directory", "a hard link to a directory")
        target.nlink = wrap32(target.nlink + 1)
        if old is not None and self._version.links_in_order:
            self._remove(old, entry)
        if entry.xattrs is not None:
            known = target.xattrs or []
            if any(item not in known for item in entry.xattrs):
                self._warnings.add("xattr-on-link", entry.path, entry.header)
        self._places.take_room(entry)
        self._places.put(place.directory, place.name, target, entry)
