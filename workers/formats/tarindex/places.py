"""Finds the place that a path names, as mkfs.erofs does (lib/rebuild.c), and makes its parents.

A place is a directory and a name in it. ``..`` moves without changing what was found, a symbolic
link is never followed, and with aufs names the last component may be a whiteout or opaque marker.
"""

from __future__ import annotations

from typing import Final

from app.catalog.builders import BuilderVersion
from workers.formats.erofs.ondisk import EROFS_NAME_LEN, S_IFDIR, S_IFMT
from workers.formats.errors import FormatError, printable
from workers.formats.tarindex.entry import Entry
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.tree import Inode, make_dots
from workers.formats.tarindex.warning import Warnings

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"


def refusal(entry: Entry, code: str, message: str) -> FormatError:
    """A FormatError that names ``entry`` and the offset of its header."""
    return FormatError(code, message, entry=printable(entry.path), offset=entry.header)


def undefined(entry: Entry) -> FormatError:
    """A replaced hard link's first directory is gone: mkfs.erofs goes on in freed memory."""
    return refusal(
        entry, "builder-undefined", "mkfs.erofs gives no defined result for this order of links"
    )


class Places:
    """Looks paths up below ``root``; the result of the last lookup stands in its attributes."""

    def __init__(
        self,
        root: Inode,
        version: BuilderVersion,
        limits: TarLimits,
        warnings: Warnings,
        aufs: bool,
    ) -> None:
        self.root: Inode = root
        self._version = version
        self._limits = limits
        self._warnings = warnings
        self._aufs: bool = aufs
        self._early: bool = version.early_dots
        self._room: int = limits.max_entries
        self._max_path: int = limits.max_path_bytes
        self._max_directory: int = limits.max_directory_entries
        #: Directory part of a path -> directory, and the last of them that was asked for.
        self._known: dict[bytes, Inode] = {}
        self._last_head: bytes | None = None
        self._last_directory: Inode = root
        #: The place: a directory, a name in it, and what that name holds now.
        self.directory: Inode = root
        self.name: bytes = b""
        self.found: Inode | None = None
        #: The path is the root itself; a whiteout; an opaque marker for ``found``.
        self.is_root: bool = False
        self.is_whiteout: bool = False
        self.is_opaque: bool = False
        #: A name whose inode a 1.8 builder took away before it looked for the link's target.
        self.hole: Inode | None = None
        self.hole_name: bytes = b""

    def forget(self) -> None:
        """A directory goes: paths must be walked again."""
        self._known.clear()
        self._last_head = None

    def take_room(self, entry: Entry) -> None:
        """Count one more inode or name; raises FormatError ``limit-entries``."""
        self._room -= 1
        if self._room < 0:
            raise refusal(entry, "limit-entries", "the archive has too many entries")

    def make(self, parent: Inode, entry: Entry) -> Inode:
        """A new inode in ``parent``, without a name yet."""
        self.take_room(entry)
        return Inode(0, parent)

    def put(self, inode: Inode, entry: Entry) -> None:
        """Give the place to ``inode``."""
        children = self.directory.children
        assert children is not None
        children[self.name] = inode
        if len(children) > self._max_directory:
            raise refusal(entry, "limit-directory_entries", "a directory has too many names")

    def lookup(self, head: bytes | None, name: bytes, entry: Entry) -> None:
        """Find the place of a path; missing parents are made. Fills the result fields.

        ``head`` is what is in front of the path's last slash, None where it has none.
        """
        self.is_root = False
        self.is_whiteout = False
        self.is_opaque = False
        directory: Inode | None
        if head is None:
            directory = self.root
        elif head is self._last_head:
            directory = self._last_directory
        else:
            directory = self._known.get(head)
            if directory is not None:
                self._last_head = head
                self._last_directory = directory
        if (
            directory is not None
            and name
            and name[0] != 46
            and len(name) <= EROFS_NAME_LEN
            and self.hole is None
        ):
            children = directory.children
            assert children is not None
            self.directory = directory
            self.name = name
            self.found = children.get(name)
            return
        self._walk(name if head is None else head + b"/" + name, entry)
        if (
            head
            and not self.is_root
            and not self.is_opaque
            and not self.is_whiteout
            and name == self.name
            and name != b"."
            and name != b".."
        ):
            self._known[head] = self.directory

    def lookup_path(self, path: bytes, entry: Entry) -> None:
        """Find the place of ``path``, a hard link's target."""
        split = path.rfind(b"/")
        if split < 0:
            self.lookup(None, path, entry)
        else:
            self.lookup(path[:split], path[split + 1 :], entry)

    def _walk(self, path: bytes, entry: Entry) -> None:
        if len(path) > self._max_path:
            raise refusal(entry, "limit-path_bytes", "a path is too long")
        parts = path.split(b"/")
        if len(parts) > self._limits.max_path_depth:
            raise refusal(entry, "limit-path_depth", "a path has too many components")
        here = self.root  # the directory that the next name is looked up in
        last = len(parts) - 1
        self.is_root = True
        self.found = None
        for position in range(last + 1):
            part = parts[position]
            if part == b"" or part == b".":
                continue
            if part == b"..":
                self._warnings.add("dotdot", path, entry.header)
                assert here.parent is not None
                here = here.parent
                if here.freed:
                    raise undefined(entry)
                continue
            if position == last and self._aufs and part.startswith(_WHITEOUT):
                if part == _OPAQUE:
                    self.is_opaque = not self.is_root
                    return
                if part != _WHITEOUT and not self._version.whiteouts_by_prefix:
                    self._warnings.add("whiteout-kept", entry.path, entry.header)
                    here = self._step(here, part, True, entry)
                    continue
                part = part[4:]
                self.is_whiteout = True
                if self._early and part in (b".", b".."):
                    raise refusal(
                        entry, "builder-crash", "this builder version crashes on such a whiteout"
                    )
            here = self._step(here, part, position == last, entry)

    def _step(self, here: Inode, name: bytes, final: bool, entry: Entry) -> Inode:
        """Look ``name`` up in ``here``; where the walk goes on."""
        children = here.children
        if children is None:
            raise refusal(entry, "builder-crash", "a path leads through what is no directory")
        if here is self.hole and name == self.hole_name:
            raise refusal(entry, "link-target-missing", "a hard link's target was replaced")
        inode = children.get(name)
        self.directory = here
        self.name = name
        self.found = inode
        self.is_root = False
        if inode is not None:
            if inode.mode & S_IFMT != S_IFDIR and not final:
                raise refusal(entry, "not-a-directory", "a path leads through a non-directory")
            return inode
        if len(name) > EROFS_NAME_LEN:
            raise refusal(entry, "name-too-long", "a name is longer than 255 bytes")
        if final:
            return here
        made = self._make_parent(here, entry)
        children[name] = made
        self.found = made
        if len(children) > self._max_directory:
            raise refusal(entry, "limit-directory_entries", "a directory has too many names")
        return made

    def _make_parent(self, parent: Inode, entry: Entry) -> Inode:
        """A directory that the archive did not declare, after its parent as that is now."""
        made = self.make(parent, entry)
        made.mode = S_IFDIR | 0o755 | (parent.mode & 0o022)
        made.uid = parent.uid
        made.gid = parent.gid
        made.mtime = parent.mtime
        made.nanoseconds = parent.nanoseconds
        made.nlink = 2
        made.children = {}
        if self._early:
            make_dots(made)
        return made
