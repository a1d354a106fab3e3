"""A streaming tar reader that sees an archive exactly as mkfs.erofs does (lib/tar.c).

Two numbers run: the stream position, and the *counted* offset that block addresses come from. They
differ after entries that declare a size but whose body is not read over. It takes chunks of any
length, keeps no file data, and skips bodies without touching them.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from app.catalog.builders import BuilderVersion
from workers.formats.errors import FormatError, printable
from workers.formats.tarindex.apply import TreeBuilder
from workers.formats.tarindex.entry import (
    TYPE_BLOCK,
    TYPE_CHAR,
    TYPE_CONTIGUOUS,
    TYPE_DIRECTORY,
    TYPE_FILE,
    TYPE_LINK,
    TYPE_SYMLINK,
    Entry,
)
from workers.formats.tarindex.header import (
    CHECKSUM_RIGHT,
    CHECKSUM_UNPARSABLE,
    HeaderFields,
    text,
)
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.numbers import UNPARSABLE
from workers.formats.tarindex.pax import PaxParser, PaxState
from workers.formats.tarindex.warning import Warnings

_BLOCK: Final = 512
_HEADER: Final = 0
_SKIP: Final = 1
_BODY: Final = 2
_DONE: Final = 3

_PATH_MAX: Final = 4096
#: mkfs.erofs reads through a buffer of this size.
_STREAM_BUFFER: Final = 32768
#: What a node certainly keeps behind the end of the archive.
_KEPT_TAIL: Final = 32768

_TYPE_GLOBAL: Final = 103  # 'g'
_TYPE_PAX: Final = 120  # 'x'
_TYPE_LONG_NAME: Final = 76  # 'L'
_TYPE_LONG_LINK: Final = 75  # 'K'
_TYPE_VOLUME: Final = 86  # 'V'
_TYPE_SPARSE: Final = 83  # 'S'


class TarReader:
    """Feeds a ``TreeBuilder`` with the entries of one archive."""

    def __init__(
        self, sink: TreeBuilder, version: BuilderVersion, limits: TarLimits, warnings: Warnings
    ) -> None:
        self._sink = sink
        self._version = version
        self._limits = limits
        self._warnings = warnings
        self._pax = PaxParser(version, limits, warnings)
        self._fields = HeaderFields(version.negative_base256)
        #: Name of the last volume header, 16 bytes, or empty.
        self.label: bytes = b""
        #: Counted offset: where block addresses come from.
        self.counted: int = 0
        self._position: int = 0  # of the stream, behind what was taken
        self._state: int = _HEADER
        self._held = bytearray()
        self._skip: int = 0
        self._skip_required: bool = False
        self._trailing: int = 0
        self._trailing_content: bool = False
        self._global = PaxState()
        self._pending = PaxState()
        self._dirty: bool = False
        self._extensions: int = 0
        self._zero_seen: bool = False
        self._lone_zero: int = -1
        self._body_type: int = 0
        self._body_size: int = 0
        self._body_header: int = 0
        self._entry = Entry()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the stream. Raises FormatError; the reader is useless then."""
        at = 0
        size = len(data)
        if self._position + size > self._limits.max_tar_bytes:
            raise self._error("limit-tar_bytes", "the uncompressed tar is too large")
        base = self._position
        self._position += size
        if self._state == _SKIP and self._skip > size:
            self._skip -= size
            return
        # One copy of a view costs less than a view of each header.
        chunk = data if isinstance(data, bytes) else bytes(data)
        while at < size:
            if self._state == _HEADER:
                if not self._held and size - at >= _BLOCK:
                    at += _BLOCK
                    self._header(chunk, at - _BLOCK, base + at - _BLOCK)
                    continue
                step = min(_BLOCK - len(self._held), size - at)
                self._held += chunk[at : at + step]
                at += step
                if len(self._held) < _BLOCK:
                    return
                block = bytes(self._held)
                self._held.clear()
                self._header(block, 0, base + at - _BLOCK)
            elif self._state == _SKIP:
                step = min(self._skip, size - at)
                self._skip -= step
                at += step
                if self._skip == 0:
                    self._state = _HEADER
            elif self._state == _BODY:
                if not self._held and size - at >= self._body_size:
                    at += self._body_size
                    self._finish_body(chunk[at - self._body_size : at])
                    continue
                step = min(self._body_size - len(self._held), size - at)
                self._held += chunk[at : at + step]
                at += step
                if len(self._held) == self._body_size:
                    body = bytes(self._held)
                    self._held.clear()
                    self._finish_body(body)
            else:
                self._trail(chunk[at:])
                return

    def close(self) -> None:
        """The stream has ended. Raises FormatError where that is no end."""
        if self._state == _SKIP:
            if self._skip_required:
                raise self._error("tar-truncated", "the archive ends inside a body or its padding")
            self._state = _HEADER
            self._held.clear()
        if self._state == _BODY:
            self._close_body()
        if self._state == _HEADER:
            if not self._version.accepts_missing_end:
                raise self._error("tar-truncated", "the archive ends without two zero blocks")
            kind = "torn-header" if self._held else "missing-end"
            self._warnings.add(kind, b"", self._position - len(self._held))
        if self._trailing_content:
            self._warnings.add("trailing-data", b"", self._position - self._trailing)
        if self._trailing > _KEPT_TAIL:
            self._warnings.add("trailing-length", b"", self._position - self._trailing)

    def _close_body(self) -> None:
        kind = self._body_type
        if kind in (_TYPE_LONG_NAME, _TYPE_LONG_LINK):
            raise self._error("tar-truncated", "the archive ends inside a GNU long name")
        self._warnings.add("torn-extension", b"", self._body_header)
        if self._held:
            self._state = _DONE
            return
        if self._body_size % _BLOCK or not self._version.accepts_missing_end:
            raise self._error("tar-truncated", "the archive ends inside an extension header")
        self._state = _HEADER

    def _trail(self, data: bytes | memoryview) -> None:
        self._trailing += len(data)
        if not self._trailing_content and bytes(data).strip(b"\0"):
            self._trailing_content = True

    def _error(self, code: str, message: str) -> FormatError:
        entry = self._entry
        path = printable(entry.path) if entry.path else None
        return FormatError(code, message, entry=path, offset=entry.header)

    def _header(self, chunk: bytes, at: i64, position: int) -> None:
        """Take the header ``at`` in ``chunk``, which is ``position`` in the stream."""
        entry = self._entry
        entry.header = position
        self.counted += _BLOCK
        checksum = self._fields.check(chunk, at)
        if checksum != CHECKSUM_RIGHT:
            self._zero_block(chunk[at : at + _BLOCK], checksum)
            return
        kind: int = chunk[at + 156]
        if kind == _TYPE_VOLUME:
            block = chunk[at : at + _BLOCK]
            if block[124] not in (0, 48) or block[124:136].strip(b"0 \0"):
                self._warnings.add("volume-size", block[:16], position)
            self.label = block[:16]
            self._align(0, False)
            return
        if not self._fields.ustar:
            entry.set_path(b"")
            raise self._error("tar-magic", "not a ustar header (v7 archives are not supported)")
        self._typed(chunk, at, kind)

    def _zero_block(self, block: bytes, checksum: int) -> None:
        """A block that is no header: the second one with an empty name ends the archive."""
        if block[0] != 0:
            self._entry.set_path(text(block[:100]))
            what = "does not parse" if checksum == CHECKSUM_UNPARSABLE else "does not match"
            raise self._error("tar-checksum", f"a header's checksum {what}")
        if block.strip(b"\0"):
            self._warnings.add("damaged-header", b"", self._entry.header)
        if self._zero_seen:
            self._state = _DONE
            if self._lone_zero >= 0 and self._entry.header != self._lone_zero + _BLOCK:
                self._warnings.add("zero-block", b"", self._lone_zero)
            return
        self._zero_seen = True
        self._lone_zero = self._entry.header

    def _typed(self, chunk: bytes, at: i64, kind: int) -> None:
        entry = self._entry
        pending = self._pending
        if self._dirty and pending.size is not None:
            size = pending.size
        else:
            size = self._fields.size(chunk, at)
            if size == UNPARSABLE:
                raise self._bad_number(chunk, at, "size")
        self._name(chunk, at, kind)
        if size < 0 and (
            self._version.refuses_negative_size
            or kind not in (TYPE_LINK, TYPE_SYMLINK, TYPE_DIRECTORY)
            or self.counted + size < 0
        ):
            raise self._error("tar-negative-size", "an entry's size is negative")
        entry.size = size
        entry.data = self.counted
        self.counted += size
        if TYPE_FILE <= kind <= TYPE_CONTIGUOUS:
            self._entry_header(chunk, at, kind)
        elif kind in (_TYPE_PAX, _TYPE_GLOBAL, _TYPE_LONG_NAME, _TYPE_LONG_LINK):
            self._start_body(kind, size)
        else:
            self._drop(kind, size)

    def _name(self, chunk: bytes, at: i64, kind: int) -> None:
        """The path: pending from an extension header, or prefix and name fields."""
        entry = self._entry
        if self._dirty and self._pending.path is not None:
            entry.set_path(self._pending.path)
            return
        end: i64 = at
        limit: i64 = at + 100
        slash: i64 = -1
        while end < limit:
            byte = chunk[end]
            if byte == 0:
                break
            if byte == 47:
                slash = end
            end += 1
        if self._fields.prefix or slash == end - 1 or end == at:
            self._odd_name(chunk[at:end], kind, chunk[at + 263])
        elif slash < 0:
            entry.head = None
            entry.name = chunk[at:end]
        else:
            entry.set_head(chunk[at:slash])
            entry.name = chunk[slash + 1 : end]

    def _odd_name(self, name: bytes, kind: int, version: int) -> None:
        """A name field that is empty, ends in a slash or has a prefix."""
        prefix = self._fields.prefix
        if prefix:
            name = prefix + name
            if version == 32 and kind <= TYPE_CONTIGUOUS:
                self._warnings.add("gnu-prefix", name, self._entry.header)
        elif not name:
            name = b"."
        if name[-1] == 47:
            name = name.rstrip(b"/")
            if not name and self._version.early_dots:
                self._entry.set_path(b"")
                raise self._error("builder-crash", "this builder version crashes on a '/' entry")
        self._entry.set_path(name)

    def _bad_number(self, chunk: bytes, at: i64, what: str) -> FormatError:
        self._name(chunk, at, chunk[at + 156])
        return self._error("tar-number", f"a header's {what} field does not parse")

    def _drop(self, kind: int, size: int) -> None:
        """Another type: its body is skipped, present or not, and the pending state forgotten."""
        if kind == 0:
            warning = "nul-type"
        else:
            warning = "sparse-dropped" if kind == _TYPE_SPARSE else "unknown-type"
        self._warnings.add(warning, self._entry.path, self._entry.header)
        self._reset()
        self._align(size, False)

    def _reset(self) -> None:
        """Forget what was pending; the next entry starts from the global values."""
        if self._dirty:
            self._pending = PaxState()
            self._pending.copy_values(self._global)
            self._extensions = 0
            state = self._global
            self._dirty = (
                state.path is not None
                or state.link is not None
                or state.size is not None
                or state.uid is not None
                or state.gid is not None
                or state.mtime is not None
                or len(state.xattrs) > 0
            )
        if self._zero_seen:
            self._zero_seen = False
            self._warnings.add("zero-block", b"", self._lone_zero)
            self._lone_zero = -1

    def _align(self, body: int, required: bool) -> None:
        """Go on behind ``body`` bytes of the stream and the padding that the count asks for."""
        padding = -self.counted % _BLOCK
        self.counted += padding
        self._skip = body + padding
        self._skip_required = required or padding > 0  # padding must be there in any case
        self._state = _SKIP if self._skip > 0 else _HEADER

    def _start_body(self, kind: int, size: int) -> None:
        self._dirty = True
        self._extensions += 1
        if self._extensions > self._limits.max_extension_headers:
            raise self._error("limit-extension_headers", "too many extension headers in a row")
        named = kind in (_TYPE_LONG_NAME, _TYPE_LONG_LINK)
        if (
            named
            and size > _PATH_MAX
            and (kind == _TYPE_LONG_LINK or self._version.bounds_long_name)
        ):
            raise self._error("long-name-too-long", "a GNU long name exceeds 4096 bytes")
        if size < 0 or size > self._limits.max_extension_bytes:
            raise self._error("limit-extension_bytes", "an extension header is too large")
        if size > _STREAM_BUFFER and not self._version.reads_long_bodies:
            raise self._error("builder-crash", "this builder version garbles such a long header")
        self._body_type = kind
        self._body_size = size
        self._body_header = self._entry.header
        self._state = _BODY
        if size == 0:
            self._finish_body(b"")

    def _finish_body(self, body: bytes) -> None:
        kind = self._body_type
        pending = self._pending
        header = self._body_header
        if kind == _TYPE_PAX:
            self._pax.parse(body, pending, header)
        elif kind == _TYPE_GLOBAL:
            self._pax.parse(body, self._global, header)
            shared = self._global
            if shared.path is not None:
                pending.path = shared.path
            if shared.link is not None:
                pending.link = shared.link
            if (
                shared.path is not None
                or shared.link is not None
                or shared.size is not None
                or shared.uid is not None
                or shared.gid is not None
                or shared.mtime is not None
            ):
                self._warnings.add("global-values", b"", header)
        else:
            name = text(body)
            if body[len(name) :].strip(b"\0"):
                self._warnings.add("nul-in-name", body, header)
            if kind == _TYPE_LONG_NAME:
                pending.path = name
            else:
                pending.link = name
        self._align(0, False)

    def _entry_header(self, chunk: bytes, at: i64, kind: int) -> None:
        entry = self._entry
        entry.type = kind
        pending = self._pending
        dirty = self._dirty
        fields = self._fields
        fields.owners(chunk, at)
        if fields.mode == UNPARSABLE:
            raise self._bad_number(chunk, at, "mode")
        entry.mode = fields.mode
        uid = fields.uid
        gid = fields.gid
        if dirty:
            if pending.uid is not None:
                uid = pending.uid
            if pending.gid is not None:
                gid = pending.gid
        if uid == UNPARSABLE:
            raise self._bad_number(chunk, at, "uid")
        if gid == UNPARSABLE:
            raise self._bad_number(chunk, at, "gid")
        entry.uid = uid & 0xFFFF_FFFF
        entry.gid = gid & 0xFFFF_FFFF
        if uid != entry.uid or gid != entry.gid:
            self._warnings.add("number-truncated", entry.path, entry.header)
        if dirty and pending.mtime is not None:
            entry.mtime = pending.mtime
            entry.nanoseconds = pending.nanoseconds
        else:
            entry.mtime = fields.mtime(chunk, at)
            entry.nanoseconds = 0
            if entry.mtime == UNPARSABLE:
                raise self._bad_number(chunk, at, "mtime")
        if kind in (TYPE_CHAR, TYPE_BLOCK):
            if not self._device(chunk, at):
                return
        elif kind in (TYPE_LINK, TYPE_SYMLINK):
            if dirty and pending.link is not None:
                entry.link = pending.link
            else:
                entry.link = fields.link
        self._hand_over(entry, pending)

    def _hand_over(self, entry: Entry, pending: PaxState) -> None:
        entry.xattrs = None
        if self._dirty and (pending.xattrs or self._global.xattrs):
            merged = pending.xattrs
            for name, value in self._global.xattrs.items():
                if name not in merged:
                    merged[name] = value
            entry.xattrs = list(merged.items())
        size = entry.size
        skips = self._sink.apply(entry)
        if not skips and size:
            self._warnings.add("size-without-body", entry.path, entry.header)
        self._reset()
        self._align(size if skips else 0, True)

    def _device(self, chunk: bytes, at: i64) -> bool:
        """Parse the device number; False: reading stops here, as mkfs.erofs does."""
        entry = self._entry
        encoded = self._fields.device(chunk, at, self._version.wide_devices)
        if encoded == UNPARSABLE:
            self._warnings.add("device-number", entry.path, entry.header)
            self._state = _DONE
            return False
        if encoded > 0xFFFF_FFFF:
            self._warnings.add("device-overflow", entry.path, entry.header)
        entry.device = encoded & 0xFFFF_FFFF
        return True
