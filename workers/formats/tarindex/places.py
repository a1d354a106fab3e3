"""Finds the place that a path names and makes its parents (``erofs_rebuild_get_dentry``).

``..`` moves without changing what was found, a symbolic link is never followed, and with aufs names
the last component may be a whiteout or opaque marker.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from app.catalog.builders import BuilderVersion
from workers.formats.erofs.ondisk import EROFS_NAME_LEN, S_IFDIR, S_IFMT
from workers.formats.errors import FormatError, printable
from workers.formats.tarindex.entry import Entry
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.tree import Inode, make_dots
from workers.formats.tarindex.warning import Warnings

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"

#: What a path turned out to be: a name, the root itself, a whiteout of the name, or an opaque
#: marker for the directory that stands there.
PLACE_NAME: Final = 0
PLACE_ROOT: Final = 1
PLACE_WHITEOUT: Final = 2
PLACE_OPAQUE: Final = 3


def refusal(entry: Entry, code: str, message: str) -> FormatError:
    """A FormatError that names ``entry`` and the offset of its header."""
    return FormatError(code, message, entry=printable(entry.path), offset=entry.header)


def undefined(entry: Entry) -> FormatError:
    """A replaced hard link's first directory is gone: mkfs.erofs goes on in freed memory."""
    return refusal(
        entry, "builder-undefined", "mkfs.erofs gives no defined result for this order of links"
    )


@final
class Place:
    """A name in a directory, and the inode that stands there now."""

    def __init__(self, directory: Inode, name: bytes, found: Inode | None, kind: i64) -> None:
        self.directory: Inode = directory
        self.name: bytes = name
        self.found: Inode | None = found
        #: One of the PLACE values.
        self.kind: i64 = kind


class Places:
    """Looks paths up below ``root``, and puts inodes where they lead.

    Methods raise FormatError for ``entry`` where mkfs.erofs refuses or a limit is passed.
    """

    def __init__(
        self,
        root: Inode,
        version: BuilderVersion,
        limits: TarLimits,
        warnings: Warnings,
        aufs: bool,
    ) -> None:
        self._root: Inode = root
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

    def forget(self) -> None:
        """A directory goes: paths must be walked again."""
        self._known.clear()
        self._last_head = None

    def take_room(self, entry: Entry) -> None:
        """Count one more inode or name."""
        self._room -= 1
        if self._room < 0:
            raise refusal(entry, "limit-entries", "the archive has too many entries")

    def make(self, parent: Inode, entry: Entry) -> Inode:
        """A new inode in ``parent``, without a name yet."""
        self.take_room(entry)
        return Inode(0, parent)

    def put(self, directory: Inode, name: bytes, inode: Inode, entry: Entry) -> None:
        """Let ``name`` in ``directory`` stand for ``inode``."""
        children = directory.children
        assert children is not None
        children[name] = inode
        if len(children) > self._max_directory:
            raise refusal(entry, "limit-directory_entries", "a directory has too many names")

    def lookup(
        self, head: bytes | None, name: bytes, entry: Entry, gone: Place | None = None
    ) -> Place:
        """The place of a path; missing parents are made.

        ``head`` is what is in front of the path's last slash, None where it has none. ``gone`` is a
        place that was emptied, which the path must not lead to or through.
        """
        directory = self._directory(head)
        if (
            directory is not None
            and name
            and name[0] != 46  # neither ``.`` nor ``..`` nor a whiteout
            and len(name) <= EROFS_NAME_LEN
            and gone is None
        ):
            children = directory.children
            assert children is not None
            return Place(directory, name, children.get(name), PLACE_NAME)
        place = self._walk(name if head is None else head + b"/" + name, entry, gone)
        if (
            head
            and place.kind == PLACE_NAME
            and place.name == name
            and name != b"."
            and name != b".."
        ):
            self._known[head] = place.directory
        return place

    def lookup_path(self, path: bytes, entry: Entry, gone: Place | None) -> Place:
        """The place of ``path``, a hard link's target."""
        split = path.rfind(b"/")
        if split < 0:
            return self.lookup(None, path, entry, gone)
        return self.lookup(path[:split], path[split + 1 :], entry, gone)

    def _directory(self, head: bytes | None) -> Inode | None:
        """The directory ``head`` if it was walked to before. Entries of one come in a row."""
        if head is None:
            return self._root
        if head is self._last_head:
            return self._last_directory
        directory = self._known.get(head)
        if directory is not None:
            self._last_head = head
            self._last_directory = directory
        return directory

    def _walk(self, path: bytes, entry: Entry, gone: Place | None) -> Place:
        if len(path) > self._max_path:
            raise refusal(entry, "limit-path_bytes", "a path is too long")
        parts = path.split(b"/")
        if len(parts) > self._limits.max_path_depth:
            raise refusal(entry, "limit-path_depth", "a path has too many components")
        place = Place(self._root, b"", None, PLACE_ROOT)
        here = self._root  # the directory that the next name is looked up in
        last = parts.pop()
        for part in parts:
            if part == b"..":
                here = self._up(here, path, entry)
            elif part and part != b".":
                place = self._step(here, part, False, entry, gone)
                assert place.found is not None
                here = place.found
        if last == b"..":
            self._up(here, path, entry)
        elif last and last != b".":
            if self._aufs and last.startswith(_WHITEOUT):
                return self._aufs_name(place, here, last, entry, gone)
            place = self._step(here, last, True, entry, gone)
        return place

    def _up(self, here: Inode, path: bytes, entry: Entry) -> Inode:
        self._warnings.add("dotdot", path, entry.header)
        parent = here.parent
        assert parent is not None
        if parent.freed:
            raise undefined(entry)
        return parent

    def _aufs_name(
        self, place: Place, here: Inode, name: bytes, entry: Entry, gone: Place | None
    ) -> Place:
        """A last ``name`` with aufs's prefix, met after ``place``."""
        if name == _OPAQUE:
            if place.kind != PLACE_ROOT:
                place.kind = PLACE_OPAQUE
            return place
        if name != _WHITEOUT and not self._version.whiteouts_by_prefix:
            self._warnings.add("whiteout-kept", entry.path, entry.header)
            return self._step(here, name, True, entry, gone)
        name = name[len(_WHITEOUT) :]
        if self._early and name in (b".", b".."):
            raise refusal(entry, "builder-crash", "this builder version crashes on such a whiteout")
        place = self._step(here, name, True, entry, gone)
        place.kind = PLACE_WHITEOUT
        return place

    def _step(
        self, here: Inode, name: bytes, final: bool, entry: Entry, gone: Place | None
    ) -> Place:
        """The place of ``name`` in ``here``; not ``final``, it is or becomes a directory."""
        children = here.children
        if children is None:
            raise refusal(entry, "builder-crash", "a path leads through what is no directory")
        if gone is not None and here is gone.directory and name == gone.name:
            raise refusal(entry, "link-target-missing", "a hard link's target was replaced")
        inode = children.get(name)
        if inode is not None:
            if inode.mode & S_IFMT != S_IFDIR and not final:
                raise refusal(entry, "not-a-directory", "a path leads through a non-directory")
        elif len(name) > EROFS_NAME_LEN:
            raise refusal(entry, "name-too-long", "a name is longer than 255 bytes")
        elif not final:
            inode = self._make_parent(here, entry)
            self.put(here, name, inode, entry)
        return Place(here, name, inode, PLACE_NAME)

    def _make_parent(self, parent: Inode, entry: Entry) -> Inode:
        """A directory that the archive did not declare, after its parent as that is now.

        ``erofs_rebuild_mkdir``.
        """
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
