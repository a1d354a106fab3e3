"""Pax extended headers (POSIX.1-2001, SCHILY and LIBARCHIVE xattrs), read as mkfs.erofs does.

Records are ``LEN KEY=VALUE\\n``. What other readers forgive or refuse does not matter here: the
result must be what the reference tool sees, version by version.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from app.catalog.builders import BuilderVersion
from workers.formats.errors import FormatError
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.numbers import scan_decimal
from workers.formats.tarindex.warning import Warnings
from workers.formats.words import signed32

_SCHILY: Final = b"SCHILY.xattr."
_LIBARCHIVE: Final = b"LIBARCHIVE.xattr."
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class PaxState:
    """Values pending for an entry, or global ones; None means: take the header's field."""

    def __init__(self) -> None:
        self.path: bytes | None = None
        self.link: bytes | None = None
        self.size: int | None = None
        self.uid: int | None = None
        self.gid: int | None = None
        self.mtime: int | None = None
        self.nanoseconds: int = 0
        #: Name -> value in order of arrival; a name keeps its place when it comes again.
        self.xattrs: dict[bytes, bytes] = {}
        self.xattr_bytes: int = 0

    def copy_values(self, other: PaxState) -> None:
        """Take everything from ``other`` but its xattrs."""
        self.path = other.path
        self.link = other.link
        self.size = other.size
        self.uid = other.uid
        self.gid = other.gid
        self.mtime = other.mtime
        self.nanoseconds = other.nanoseconds


class PaxParser:
    """Applies the records of extension headers to a ``PaxState``."""

    def __init__(self, version: BuilderVersion, limits: TarLimits, warnings: Warnings) -> None:
        self._version = version
        self._limits = limits
        self._warnings = warnings
        self._offset = 0

    def parse(self, body: bytes, state: PaxState, offset: int) -> None:
        """Apply every record of ``body``, a header at ``offset``, to ``state``.

        Raises FormatError ``pax-malformed``, ``xattr-malformed``, ``tar-negative-size`` or a limit.
        """
        self._offset = offset
        size = len(body)
        at = 0
        records = 0
        while at < size:
            records += 1
            if records > self._limits.max_pax_records:
                raise self._error("limit-pax_records", "too many records in one pax header")
            # Digits, then spaces: sscanf reads the length as an int, past the record if need be.
            length, start = scan_decimal(body, at)
            length = signed32(length)
            if start < 0 or length <= start - at or length > size - at:
                raise self._error("pax-malformed", "a pax record's length is wrong")
            end = at + length - 1
            if body[end] != 10:
                raise self._error("pax-malformed", "a pax record does not end with a newline")
            split = body.find(b"=", start, end)
            if split < 0:
                raise self._error("pax-malformed", "a pax record has no '='")
            self._record(body[start:split], body[split + 1 : end], state)
            at = end + 1

    def _record(self, key: bytes, value: bytes, state: PaxState) -> None:
        if key == b"path":
            self._path(value, state)
        elif key == b"linkpath":
            state.link = self._text(value) or (None if self._version.empty_clears else b"")
        elif key == b"mtime":
            self._mtime(value, state)
        elif key == b"size":
            state.size = self._integer(value)
            if state.size is not None and state.size < 0 and self._version.empty_clears:
                raise self._error("tar-negative-size", "a pax size is negative")
        elif key == b"uid":
            state.uid = self._owner(value)
        elif key == b"gid":
            state.gid = self._owner(value)
        elif not key or 97 <= key[0] <= 122:
            return  # atime, ctime and the like: the names below begin with capitals
        elif key.startswith(_SCHILY):
            self._xattr(key[len(_SCHILY) :], value, state)
        elif key.startswith(_LIBARCHIVE):
            self._libarchive(key[len(_LIBARCHIVE) :], value, state)
        elif key.startswith(b"GNU.sparse."):
            self._warnings.add("sparse-raw", state.path or b"", self._offset)

    def _text(self, value: bytes) -> bytes:
        """``value`` as a C string: a NUL ends it."""
        end = value.find(b"\0")
        if end < 0:
            return value
        self._warnings.add("nul-in-name", value, self._offset)
        return value[:end]

    def _path(self, value: bytes, state: PaxState) -> None:
        text = self._text(value)
        if not text and self._version.empty_clears:
            state.path = None
        elif len(text) < len(value):
            state.path = text  # slashes are looked for behind the NUL, so none are removed
        else:
            state.path = text.rstrip(b"/")

    def _integer(self, value: bytes) -> int | None:
        if not value or value[0] == 0:
            if self._version.empty_clears:
                return None
            raise self._error("pax-malformed", "a pax number is empty")
        number, end = scan_decimal(value, 0)
        if end < 0 or (end < len(value) and value[end] != 0):
            raise self._error("pax-malformed", "a pax number does not parse")
        return number

    def _owner(self, value: bytes) -> int | None:
        number = self._integer(value)
        if number is None:
            return None
        if not 0 <= number <= 0xFFFF_FFFF:
            self._warnings.add("number-truncated", b"", self._offset)
        return number & 0xFFFF_FFFF

    def _mtime(self, value: bytes, state: PaxState) -> None:
        if self._version.empty_clears and (not value or value[0] == 0):
            state.mtime = None
            return
        seconds, end = scan_decimal(value, 0)
        if end < 0:
            raise self._error("pax-malformed", "a pax mtime does not parse")
        fraction = 0
        if end < len(value) and value[end] == 46:
            if self._version.decimal_mtime:
                fraction = self._decimal_fraction(value, end + 1)
                if fraction and value[0] == 45:
                    if seconds == -(1 << 63):
                        raise self._error("pax-malformed", "a pax mtime is out of range")
                    seconds -= 1
                    fraction = 1_000_000_000 - fraction
            else:
                number, after = scan_decimal(value, end + 1)
                if after < 0:
                    raise self._error("pax-malformed", "a pax mtime's fraction does not parse")
                fraction = number & 0xFFFF_FFFF
                if fraction:
                    self._warnings.add("nanoseconds", state.path or b"", self._offset)
        elif end < len(value) and value[end] != 0 and self._version.decimal_mtime:
            raise self._error("pax-malformed", "text follows a pax mtime")
        state.mtime = seconds
        state.nanoseconds = fraction

    def _decimal_fraction(self, value: bytes, start: i64) -> int:
        size: i64 = len(value)
        end = start
        nanoseconds: i64 = 0
        unit: i64 = 100_000_000  # of the next digit; digits behind the ninth are cut
        while end < size and 48 <= value[end] <= 57:
            nanoseconds += (value[end] - 48) * unit
            unit //= 10
            end += 1
        if end == start or (end < size and value[end] != 0):
            raise self._error("pax-malformed", "a pax mtime's fraction does not parse")
        return nanoseconds

    def _xattr(self, name: bytes, value: bytes, state: PaxState) -> None:
        if not name:
            return
        end = name.find(b"\0")
        if end >= 0:
            self._warnings.add("nul-in-name", name, self._offset)
            name = name[:end]
        old = state.xattrs.get(name)
        state.xattr_bytes += len(value) - len(old) if old is not None else len(name) + len(value)
        if state.xattr_bytes > self._limits.max_xattr_bytes:
            raise self._error("limit-xattr_bytes", "the xattrs of one entry are too large")
        state.xattrs[name] = value

    def _libarchive(self, name: bytes, value: bytes, state: PaxState) -> None:
        standard = self._version.standard_base64
        decoded = decode_base64(value) if standard else decode_reversed_base64(value)
        if decoded is None:
            raise self._error("xattr-malformed", "a LIBARCHIVE.xattr value is not base64")
        if decoded and not standard:
            self._warnings.add("xattr-garbled", state.path or b"", self._offset)
        self._xattr(unquote(name), decoded, state)

    def _error(self, code: str, message: str) -> FormatError:
        return FormatError(code, message, offset=self._offset)


def unquote(name: bytes) -> bytes:
    """``name`` with %XX decoded; a NUL ends it, a lone % stays."""
    end = name.find(b"\0")
    if end >= 0:
        name = name[:end]
    if b"%" not in name:
        return name
    out = bytearray()
    at = 0
    while at < len(name):
        if name[at] == 37 and at + 2 < len(name):
            pair = name[at + 1 : at + 3]
            if all(c in b"0123456789abcdefABCDEF" for c in pair):
                out.append(int(pair, 16))
                at += 3
                continue
        out.append(name[at])
        at += 1
    return bytes(out)


def _unpadded(text: bytes) -> tuple[bytes, bool]:
    if not text or len(text) % 4:
        return text, False
    if text.endswith(b"="):
        text = text[:-2] if text.endswith(b"==") else text[:-1]
    return text, True


def decode_base64(text: bytes) -> bytes | None:
    """Base64 with optional padding; leftover bits are a byte of their own, or an error (None)."""
    text, padded = _unpadded(text)
    out = bytearray()
    bits = held = 0
    for char in text:
        digit = _ALPHABET.find(char)
        if digit < 0:
            return None
        held = (held << 6 | digit) & 0xFFFF
        bits += 6
        if bits >= 8:
            bits -= 8
            out.append(held >> bits & 0xFF)
    held &= (1 << bits) - 1
    if held:
        if padded:
            return None
        out.append(held)
    return bytes(out)


def decode_reversed_base64(text: bytes) -> bytes | None:
    """The decoder of 1.8: least significant bits first, so standard base64 mostly fails (None)."""
    text, padded = _unpadded(text)
    out = bytearray()
    bits = held = 0
    for char in text:
        digit = _ALPHABET.find(char)
        if digit < 0:
            return None
        held += digit << bits
        bits += 6
        if bits >= 8:
            out.append(held & 0xFF)
            held >>= 8
            bits -= 8
    if held:
        if padded or held > 0xFF:
            return None
        out.append(held)
    return bytes(out)
