"""Where an index is not what the archive means, as typed warnings.

The index stays exactly what mkfs.erofs writes. The container runtime is the judge of what is lossy:
Go's archive/tar as containerd's unpack uses it. A kind is lossy where the runtime shows another
name, target, type, mode, owner, size, time, xattr or content, or refuses the archive. What only
other readers see otherwise is a note.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from workers.formats.errors import printable
from workers.formats.tarindex.limits import TarLimits


@dataclass(frozen=True, slots=True)
class TarWarning:
    """``kind`` (a key of KINDS), escaped path, byte offset of its header, text."""

    kind: str
    entry: str
    offset: int
    message: str


@dataclass(frozen=True, slots=True)
class WarningCount:
    """How many entries one kind befell, exact whatever the limit, and the first of them."""

    first: TarWarning
    count: int


@dataclass(frozen=True, slots=True)
class Kind:
    """What happens, and whether the runtime shows something else."""

    text: str
    lossy: bool = True


_NOTE: Final = False

#: Every kind. Names are stable: settings may allow them one by one.
KINDS: Final[dict[str, Kind]] = {
    "nul-type": Kind("a header with type NUL (an old regular file) is dropped with its body"),
    "sparse-dropped": Kind("a GNU sparse file (type S) is dropped"),
    "sparse-raw": Kind("a pax sparse file is stored raw, map included"),
    "unknown-type": Kind("an entry of another type is dropped with its body"),
    "type-refused": Kind("an entry has a type that the runtime refuses (7, V)"),
    "torn-header": Kind("the archive ends inside a header, which is dropped"),
    "torn-extension": Kind("the archive ends inside an extension header; reading stops"),
    "missing-end": Kind("the archive ends without its two zero blocks", _NOTE),
    "zero-block": Kind("a single zero block in the middle is read over"),
    "damaged-header": Kind("a header with an empty name and a bad checksum counts as a zero block"),
    "header-checksum": Kind(
        "a checksum leaves out the header's last twelve bytes, or is written oddly"
    ),
    "header-magic": Kind(
        "a header's magic is neither ustar's nor GNU's; its prefix and device count all the same"
    ),
    "header-number": Kind("the runtime refuses a header's number, or reads another one"),
    "device-number": Kind("a device number does not parse; reading the archive stops there"),
    "device-overflow": Kind("a device number does not fit the image's 32 bits"),
    "body-on-special": Kind("a device or fifo has a body, which garbles its number"),
    "body-on-whiteout": Kind("a whiteout has a body and so is no whiteout any more"),
    "size-without-body": Kind("a link or directory declares a size; later addresses shift"),
    "extension-size": Kind("a pax size counts for the extension header behind it, too"),
    "trailing-data": Kind(
        "bytes other than zero follow the end of the archive; they are not read", _NOTE
    ),
    "trailing-length": Kind(
        "more than 32 KiB follow the end of the archive; nodes may cut the tar", _NOTE
    ),
    "undeclared-parent": Kind(
        "a directory has no header; it hides the attributes that it has in lower layers"
    ),
    "directory-replaced": Kind(
        "something else replaces a directory; the runtime refuses, or mixes their times"
    ),
    "whiteout-empty": Kind("a whiteout without a name makes a directory that the kernel refuses"),
    "whiteout-dots": Kind("a whiteout of . or .. is dropped"),
    "whiteout-directory": Kind(
        "a directory header with a whiteout name turns a directory into one"
    ),
    "whiteout-over-entry": Kind("a whiteout replaces what the layer itself holds"),
    "whiteout-form": Kind("a whiteout name in a hard link, or before a slash, is read as none"),
    "whiteout-kept": Kind("this builder version takes a whiteout for a plain entry"),
    "xattr-name": Kind("an xattr name over 255 bytes is written with a wrong length"),
    "xattr-value": Kind("an xattr value over 65535 bytes is written with a wrong length"),
    "xattr-area": Kind("an inode's xattrs do not fit the image's 16-bit count"),
    "xattr-duplicate": Kind("an inode holds the same xattr name twice"),
    "xattr-dropped": Kind(
        "this builder version drops an xattr of a name space that the kernel has not", _NOTE
    ),
    "xattr-garbled": Kind("this builder version decodes an xattr's base64 wrongly"),
    "xattr-on-link": Kind("xattrs of a hard link header that its target lacks are dropped"),
    "xattr-trusted": Kind("a trusted xattr is kept, which the runtime leaves out"),
    "xattr-libarchive": Kind("a LIBARCHIVE.xattr record counts, which the runtime passes over"),
    "xattr-refused": Kind("an xattr is kept that the runtime's kernel refuses or leaves out"),
    "xattr-acl": Kind("an ACL is kept that the runtime's kernel refuses, changes or hands on"),
    "nanoseconds": Kind("the fraction of an mtime is lost or misread"),
    "mtime-range": Kind("an mtime before 1970 or after 2262 is kept; the runtime takes 1970"),
    "number-truncated": Kind("an owner number is cut to 32 bits", _NOTE),
    "owner-kept": Kind("an owner of 4294967295 is kept; the runtime leaves root"),
    "link-attributes": Kind(
        "a hard link's header differs from its target's; the runtime takes the last one"
    ),
    "link-to-itself": Kind("a hard link to itself is passed over"),
    "global-values": Kind(
        "pax global values work, or start one entry late, where other readers differ"
    ),
    "global-header": Kind(
        "a pax global header parts others from their entry, or names an entry that it then clears"
    ),
    "pax-record": Kind("the runtime refuses a pax record, or reads it in another way"),
    "pax-twice": Kind("two pax headers precede one entry; the runtime reads only the last"),
    "gnu-long-name": Kind(
        "a pax path or link follows a GNU one, or that is empty; the runtime takes the other"
    ),
    "gnu-prefix": Kind("bytes of a GNU header that are no prefix are used as one"),
    "nul-in-name": Kind("a NUL byte cuts a path, link target or xattr name"),
    "dotdot": Kind("a path with .. names another entry than it says"),
    "long-target": Kind("a symbolic link's target is empty or longer than the kernel follows"),
    "long-path": Kind("a path is longer than the kernel opens (4095 bytes)"),
    "volume-size": Kind("a volume header declares a size; its body is read as headers"),
    "more": Kind("further warnings were left out", _NOTE),
}


def is_lossy(kind: str) -> bool:
    """True if a layer with such a warning is not what was pushed; so is one of a kind not known."""
    row = KINDS.get(kind)
    return row is None or row.lossy


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
        warning = TarWarning(kind, printable(entry), offset, KINDS[kind].text)
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
