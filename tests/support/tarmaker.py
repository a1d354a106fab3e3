"""Makes tars header by header, well-formed or not, from a source of choices.

The same generator serves Hypothesis (choices are draws, so failures shrink) and seeded golden data
(choices come from a ``random.Random``).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
END = bytes(1024)


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    gid: bytes = b"0000000\0",
    size: int | bytes = 0,
    mtime: int | bytes = 0,
    link: bytes = b"",
    magic: bytes = b"ustar\00000",
    major: bytes = b"0000000\0",
    minor: bytes = b"0000000\0",
    prefix: bytes = b"",
    checksum: bytes | None = None,
    signed: bool = False,
) -> bytes:
    """One 512-byte header with a right checksum unless told otherwise."""
    block = (
        name[:100].ljust(100, b"\0")
        + mode
        + uid
        + gid
        + number(size, 12)
        + number(mtime, 12)
        + b" " * 8
        + kind
        + link[:100].ljust(100, b"\0")
        + magic
        + bytes(64)
        + major
        + minor
        + prefix[:155].ljust(155, b"\0")
        + bytes(12)
    )
    assert len(block) == 512
    total = sum(b - 256 if signed and b > 127 else b for b in block)
    if checksum is None:
        checksum = b"%06o\0 " % (total & 0o777777)
    return block[:148] + checksum + block[156:]


def number(value: int | bytes, width: int) -> bytes:
    """A number field: octal where it fits, else GNU base 256; bytes stay as they are."""
    if isinstance(value, bytes):
        return value.ljust(width, b"\0")[:width]
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    first = b"\xff" if value < 0 else b"\x80"
    return first + (value % (1 << 8 * (width - 1))).to_bytes(width - 1, "big")


def padded(body: bytes) -> bytes:
    """``body`` filled with zeros to whole blocks."""
    return body + bytes(-len(body) % 512)


def record(key: bytes, value: bytes) -> bytes:
    """One pax record."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def pax(records: Sequence[tuple[bytes, bytes]], kind: bytes = b"x") -> bytes:
    """An extension header with its records."""
    body = b"".join(record(key, value) for key, value in records)
    return header(b"PaxHeaders/x", kind, size=len(body)) + padded(body)


def long_name(text: bytes, kind: bytes = b"L") -> bytes:
    """A GNU long name (``L``) or long link (``K``)."""
    body = text + b"\0"
    return header(b"././@LongLink", kind, size=len(body), magic=b"ustar  \0") + padded(body)


class Choices(Protocol):
    """Where a generator's decisions come from."""

    def integer(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included."""


class DrawnChoices:
    """Choices that Hypothesis draws and can shrink."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))


class SeededChoices:
    """Choices from a seed, the same on every machine and Python."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def integer(self, low: int, high: int) -> int:
        return low + self._random.getrandbits(48) % (high - low + 1)


_NAMES = (
    b"a", b"b", b"c", b"dir", b"etc", b"file", b"x.txt", b"-", b"#x", b"!", b"0", b"zz", b"a.b",
    b"\xc3\xa9", b"\xff\xfe", b"usr", b"bin", b"...", b".hidden", b"with space", b"n" * 40,
)  # fmt: skip
_ODD_NAMES = (
    b".wh.a", b".wh.b", b".wh.dir", b".wh..wh..opq", b".wh.file", b".wh..wh.plnk", b".wh.zz",
    b"..", b".", b"", b"long-" + b"n" * 90, b"l" * 250, b"m" * 255, b".wh..wh.aufs",
)  # fmt: skip
_TIMES = (0,) * 8 + (1, 1_600_000_001) * 3 + (1_700_000_000,) * 20 + (8**11, 2**33, -1)
_PAX_TIMES = (
    b"0", b"1700000000.5", b"1600000000.123456789", b"-1.25", b"0.000000001", b"1.9999999999", b"7",
    b"12.340", b"1700000000",
)  # fmt: skip
_XATTR_NAMES = (
    b"user.a", b"user.b", b"security.capability", b"security.selinux", b"trusted.overlay.opaque",
    b"system.posix_acl_access", b"system.posix_acl_default", b"trusted.x", b"user.", b"other.x",
    b"system.posix_acl_accessX", b"security.ima", b"btrfs.compression", b"user.long." + b"k" * 60,
)  # fmt: skip


class TarMaker:
    """Composes one archive out of entries of all kinds, in any order, on a few shared names."""

    def __init__(self, choices: Choices, *, hostile: bool = True) -> None:
        self._choices = choices
        #: With False, only what reference tools accept (mostly): no malformed headers.
        self._hostile = hostile
        self._directories: list[bytes] = []
        self._files: list[bytes] = []

    def _pick(self, options: Sequence[T]) -> T:
        return options[self._choices.integer(0, len(options) - 1)]

    def _chance(self, percent: int) -> bool:
        return self._choices.integer(0, 99) < percent

    def tar(self) -> bytes:
        """One archive."""
        parts = [self.entry() for _ in range(self._choices.integer(0, 24))]
        if not self._hostile or self._chance(93):
            parts.append(END)
        elif self._chance(50):
            parts.append(bytes(512 * self._choices.integer(0, 3)))
        data = b"".join(parts)
        if self._hostile and self._chance(4):
            data = data[: self._choices.integer(0, len(data))]
        if self._chance(10):
            data += self._pick((bytes(8192), b"garbage" * 10, data[:1024]))
        return data

    def _path(self, directory: bool = False) -> bytes:
        if self._files and self._chance(4):
            path = self._pick(self._files)
            if self._chance(10):
                path += b"/" + self._name()
            return path
        parts = [self._name() for _ in range(self._pick((1, 1, 1, 2, 2, 3, 5)))]
        if self._directories and self._chance(55):
            parts = [self._pick(self._directories), *([] if self._chance(3) else parts[:1])]
        path = b"/".join(parts)
        (self._directories if directory else self._files).append(path)
        if self._chance(10):
            path = self._pick((b"./", b"/", b"//", b"./.")) + path
        return path

    def _name(self) -> bytes:
        if self._chance(4):
            return self._pick(_ODD_NAMES)
        name = self._pick(_NAMES)
        if self._chance(70):
            name += b"%d" % self._choices.integer(0, 99)
        if self._chance(3):
            name = name * self._choices.integer(2, 8)
        return name[:255]

    def entry(self) -> bytes:
        """One entry with the extension headers in front of it."""
        if self._hostile and self._choices.integer(0, 999) < 8:
            return self._oddity()
        kind = self._pick(b"000000000555555552222134671Wg")
        if kind == ord("1") and len(self._files) < 2:
            kind = ord("0")
        if kind == ord("g"):
            return pax(self._records(True), b"g") if self._chance(40) else b""
        if kind == ord("W"):
            return self._run_of_files()
        path = self._path(kind == ord("5"))
        if kind == ord("5") and self._chance(60):
            path += b"/"
        fields = self._fields(bytes([kind]))
        body = b""
        if kind in b"07":
            body = bytes([65 + len(path) % 26]) * self._body_size()
        elif kind in b"12":
            fields["link"] = self._target(kind)
        elif kind in b"34":
            fields["major"] = number(self._pick((0, 0, 1, 8, 255, 4095)), 8)
            fields["minor"] = number(self._pick((0, 0, 3, 255, 256, 70000)), 8)
        if self._hostile and self._chance(1):
            fields["size"] = self._choices.integer(0, 2000)
        else:
            fields["size"] = len(body)
        if self._hostile and kind in b"346" and self._chance(6):
            body = bytes(self._choices.integer(1, 1500))
            fields["size"] = len(body)
        return self._extended(path, bytes([kind]), fields) + padded(body)

    def _run_of_files(self) -> bytes:
        """Many names in one directory, which is what makes the allocator work."""
        directory = self._pick(self._directories) if self._directories else b"run"
        count = self._choices.integer(1, 60)
        width = self._pick((1, 4, 20, 60))
        kind = self._pick((b"0", b"5", b"2"))
        fields = self._fields(kind)
        if kind == b"2":
            fields["link"] = b"t" * self._choices.integer(1, 99)
        made = []
        for i in range(count):
            name = directory + b"/%0*d" % (width, i)
            made.append(header(name[-100:].lstrip(b"/") or b"x", kind, **fields))
        return b"".join(made)

    def _body_size(self) -> int:
        return self._pick((0, 0, 1, 10, 511, 512, 513, 1024, 3000))

    def _target(self, kind: int) -> bytes:
        if kind == ord("1") or self._chance(30):
            return self._target_name()
        if self._chance(12):
            return b"t" * self._pick((430, 447, 448, 449, 511, 512, 513, 600, 1024, 1500, 4095))
        return b"t" * self._choices.integer(1, 120)

    def _target_name(self) -> bytes:
        made = [path for path in self._files[:-1] if b".wh." not in path]
        return self._pick(made) if made else b"a"

    def _fields(self, kind: bytes) -> dict[str, Any]:
        mode = self._pick((0o644, 0o755, 0o777, 0, 0o4755, 0o1777, 0o100644, 0o40755))
        owner = (0, 0, 0, 1000, 65535, 65536, 2097151)
        fields: dict[str, Any] = {
            "mode": number(mode, 8),
            "uid": number(self._pick(owner), 8),
            "gid": number(self._pick(owner), 8),
            "mtime": self._pick(_TIMES),
        }
        if self._chance(20):
            fields["magic"] = b"ustar  \0"
        if self._chance(3):
            fields["uid"] = number(self._pick((2097152, 2**31)), 8)
        if self._chance(3):
            fields["mtime"] = self._pick((b"      17\0", b"00000000017 ", b"17", b" "))
        return fields

    def _extended(self, path: bytes, kind: bytes, fields: dict[str, Any]) -> bytes:
        front = b""
        records = self._records(False) if self._chance(20) else []
        if len(path) > 100 or self._chance(8):
            form = self._choices.integer(0, 2)
            split = path.rfind(b"/", 0, 156)
            if form == 0 or b"\0" in path:
                records.append((b"path", path))
            elif form == 1 or split < 0 or len(path) - split > 101:
                front += long_name(path)
            else:
                fields["prefix"] = path[:split]
                path = path[split + 1 :]
        link = fields.get("link", b"")
        if len(link) > 100 or (link and self._chance(8)):
            if self._chance(50):
                records.append((b"linkpath", link))
            else:
                front += long_name(link, b"K")
        if records:
            extension = pax(records)
            front = front + extension if self._chance(70) else extension + front
        return front + header(path, kind, **fields)

    def _records(self, shared: bool) -> list[tuple[bytes, bytes]]:
        records: list[tuple[bytes, bytes]] = []
        for _ in range(self._choices.integer(1, 4)):
            what = self._choices.integer(0, 11)
            if what < 5:
                name = self._pick(_XATTR_NAMES)
                value = bytes([48 + what]) * self._pick((0, 1, 3, 4, 20, 60, 300, 500))
                if self._chance(7):
                    records.append((b"LIBARCHIVE.xattr." + name, base64.b64encode(value)))
                else:
                    records.append((b"SCHILY.xattr." + name, value))
            elif what < 8:
                records.append((b"mtime", self._pick(_PAX_TIMES)))
            elif what == 8:
                records.append((self._pick((b"uid", b"gid")), self._pick((b"0", b"70000", b"5"))))
            elif what == 9:
                records.append((b"comment", b"hello"))
            elif what == 10 and not shared:
                records.append((b"atime", b"17.5"))
            elif self._hostile and self._chance(20):
                records.append(
                    self._pick(
                        (
                            (b"path", b""),
                            (b"mtime", b""),
                            (b"mtime", b"x"),
                            (b"uid", b"-1"),
                            (b"size", b""),
                            (b"linkpath", b""),
                            (b"path", b"a/b/"),
                            (b"uid", b" 7 "),
                        )
                    )
                )
        return records

    def _oddity(self) -> bytes:
        """Something malformed or rare."""
        path = self._path()
        return self._pick(
            (
                bytes(512),
                header(path, b"\0"),
                header(path, b"S", size=600) + bytes(1024),
                header(path, b"V"),
                header(path, b"D", size=10) + bytes(512),
                header(path, b"0", checksum=b"0000000\0"),
                header(b"\xfe\xff" + path, b"0", signed=True),
                header(path, b"0", magic=b"\0" * 8),
                header(path, b"5", size=512),
                header(path, b"1", link=b"a", size=512),
                header(path, b"3", major=bytes(8)),
                header(path, b"0", uid=bytes(8)),
                header(path, b"0", mode=b"rw-r--r-"),
                header(path, b"5", uid=b"    12 \0", gid=b"17\0\0\0\0\0\0"),
                pax([(b"path", path)], b"g"),
                pax([(b"linkpath", b"a")], b"g"),
                pax([(b"size", b"0")]),
                header(b"", b"0", checksum=b"\0" * 8),
                header(path, b"x", size=700) + padded(record(b"comment", b"c" * 300)) + bytes(512),
            )
        )


@st.composite
def tars(draw: Callable[[st.SearchStrategy[int]], int]) -> bytes:
    """Archives of up to two dozen entries, a few in a hundred of them malformed."""
    return TarMaker(DrawnChoices(draw)).tar()


def seeded_tar(seed: int, *, hostile: bool = True) -> bytes:
    """The archive that ``seed`` stands for."""
    return TarMaker(SeededChoices(seed), hostile=hostile).tar()
