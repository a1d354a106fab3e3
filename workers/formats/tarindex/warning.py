"""What mkfs.erofs loses or distorts in silence, as typed warnings.

The index stays exactly what mkfs.erofs writes; a warning says that it is not what the tar means.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from workers.formats.errors import printable
from workers.formats.tarindex.limits import TarLimits


@dataclass(frozen=True, slots=True)
class TarWarning:
    """One loss: ``kind`` (a key of KINDS), escaped path, byte offset of its header, text."""

    kind: str
    entry: str
    offset: int
    message: str


@dataclass(frozen=True, slots=True)
class WarningCount:
    """How many entries one kind befell, exact whatever the limit, and the first of them."""

    first: TarWarning
    count: int


#: Every kind, with what happens. Kinds are stable: settings may allow them one by one.
KINDS: Final[dict[str, str]] = {
    "nul-type": "a header with type NUL (an old regular file) is dropped with its body",
    "sparse-dropped": "a GNU sparse file (type S) is dropped",
    "sparse-raw": "a pax sparse file is stored raw, map included",
    "unknown-type": "an entry of another type is dropped with its body",
    "torn-header": "the archive ends inside a header, which is dropped",
    "torn-extension": "the archive ends inside an extension header; reading stops",
    "missing-end": "the archive ends without its two zero blocks",
    "zero-block": "a single zero block in the middle is read over",
    "damaged-header": "a header with an empty name and a bad checksum counts as a zero block",
    "device-number": "a device number does not parse; reading the archive stops there",
    "device-overflow": "a device number does not fit the image's 32 bits",
    "body-on-special": "a device or fifo has a body, which garbles its number",
    "body-on-whiteout": "a whiteout has a body and so is no whiteout any more",
    "size-without-body": "a link or directory declares a size; later addresses shift",
    "trailing-data": "bytes other than zero follow the end of the archive; they are not read",
    "trailing-length": "more than 32 KiB follow the end of the archive; nodes may cut the tar",
    "whiteout-empty": "a whiteout without a name makes a directory that the kernel refuses",
    "whiteout-dots": "a whiteout of . or .. is dropped",
    "whiteout-directory": "a directory header with a whiteout name turns a directory into one",
    "whiteout-kept": "this builder version takes a whiteout for a plain entry",
    "xattr-name": "an xattr name over 255 bytes is written with a wrong length",
    "xattr-value": "an xattr value over 65535 bytes is written with a wrong length",
    "xattr-area": "an inode's xattrs do not fit the image's 16-bit count",
    "xattr-duplicate": "an inode holds the same xattr name twice",
    "xattr-dropped": "this builder version drops an xattr",
    "xattr-garbled": "this builder version decodes an xattr's base64 wrongly",
    "xattr-on-link": "xattrs of a hard link header that its target lacks are dropped",
    "nanoseconds": "the fraction of an mtime is lost or misread",
    "number-truncated": "an owner number is cut to 32 bits",
    "global-values": "pax global values work, or start one entry late, where other readers differ",
    "gnu-prefix": "bytes of a GNU header that are no prefix are used as one",
    "nul-in-name": "a NUL byte cuts a path, link target or xattr name",
    "dotdot": "a path with .. names another entry than it says",
    "long-target": "a symbolic link's target is empty or longer than the kernel follows",
    "long-path": "a path is longer than the kernel opens (4095 bytes)",
    "volume-size": "a volume header declares a size; its body is read as headers",
    "more": "further warnings were left out",
}


class Warnings:
    """Collects warnings up to a limit, and the first of each kind; beyond that, it only counts."""

    def __init__(self, limits: TarLimits) -> None:
        self._limit = limits.max_warnings
        self._kept: list[TarWarning] = []
        self._first: dict[str, TarWarning] = {}
        self._count: Counter[str] = Counter()

    def add(self, kind: str, entry: bytes, offset: int) -> None:
        """Take a warning of ``kind`` for the raw path ``entry``."""
        self._count[kind] += 1
        if len(self._kept) >= self._limit and kind in self._first:
            return
        warning = TarWarning(kind, printable(entry), offset, KINDS[kind])
        self._first.setdefault(kind, warning)
        if len(self._kept) < self._limit:
            self._kept.append(warning)

    def counts(self) -> tuple[WarningCount, ...]:
        """Every kind that was met, in order of kinds."""
        return tuple(
            WarningCount(self._first[kind], count) for kind, count in sorted(self._count.items())
        )

    def all(self) -> tuple[TarWarning, ...]:
        """Everything kept, with a last ``more`` when some were left out."""
        more = self._count.total() - len(self._kept)
        if not more:
            return tuple(self._kept)
        text = f"{more} further warnings were left out"
        return (*self._kept, TarWarning("more", "", 0, text))
