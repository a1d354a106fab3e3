"""An archive for each kind of warning, and archives that look odd and harm nobody.

One table for two questions: are we warned, and does the container runtime really see it otherwise?
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.support.tarmaker import END, header, long_name, number, padded, pax, record

BODY: Final = b"x" * 512
_CAPABILITY: Final = bytes.fromhex("0100000200040000") + bytes(12)
_ACL: Final = bytes.fromhex(
    "02000000 01000600ffffffff 02000700e8030000 04000400ffffffff 10000400ffffffff 20000400ffffffff"
)


class Case(NamedTuple):
    """An archive that has a warning of ``kind`` with this entry and offset."""

    kind: str
    tar: bytes
    entry: str
    offset: int


def _xattr(name: bytes, value: bytes = b"v", space: bytes = b"SCHILY") -> bytes:
    return pax([(space + b".xattr." + name, value)])


def _with(block: bytes, at: int, value: bytes) -> bytes:
    """``block`` with other bytes ``at``, and its checksum set right."""
    block = block[:at] + value + block[at + len(value) :]
    total = sum(block[:148]) + 256 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


def _raw(body: bytes) -> bytes:
    """A pax header with a body that is no plain sequence of records."""
    return header(b"x", b"x", size=len(body)) + padded(body)


_FILE: Final = header(b"a")
_SUM: Final = int(_FILE[148:154], 8)

#: What mkfs.erofs loses or distorts.
LOSSES: Final = (
    Case("nul-type", header(b"a", b"\0") + END, "a", 0),
    Case("sparse-dropped", header(b"a", b"S") + END, "a", 0),
    Case(
        "sparse-raw",
        pax(
            [
                (b"GNU.sparse.map", b"0,0"),
                (b"GNU.sparse.numblocks", b"1"),
                (b"GNU.sparse.size", b"9"),
            ]
        ) + _FILE + END,
        "", 0,
    ),
    Case("unknown-type", header(b"a", b"D") + END, "a", 0),
    Case("torn-header", _FILE + bytes(100), "", 512),
    Case("torn-extension", header(b"x", b"x", size=600) + b"1" * 99, "", 0),
    Case("zero-block", bytes(512) + _FILE + END, "", 0),
    Case("damaged-header", header(b"", checksum=b"x" * 8) + END, "", 0),
    Case("device-number", header(b"a", b"3", major=bytes(8)) + END, "a", 0),
    Case("device-overflow", header(b"a", b"3", major=number(4096, 8)) + END, "a", 0),
    Case("body-on-special", header(b"a", b"6", size=512) + BODY + END, "a", 0),
    Case("body-on-whiteout", header(b".wh.a", size=512) + BODY + END, ".wh.a", 0),
    Case(
        "size-without-body",
        header(b"a", b"5", size=512) + header(b"b", size=1) + padded(b"b") + header(b"c") + END,
        "a", 0,
    ),
    Case("whiteout-empty", header(b".wh.") + END, ".wh.", 0),
    Case("whiteout-dots", header(b".wh...") + END, ".wh...", 0),
    Case("whiteout-directory", header(b"a", b"5") + header(b".wh.a", b"5") + END, ".wh.a", 512),
    Case("xattr-name", _xattr(b"user." + b"n" * 300, b"") + _FILE + END, "a", 1024),
    Case("xattr-value", _xattr(b"user.a", b"v" * 70_000) + _FILE + END, "a", 512 + 70_144),
    Case(
        "xattr-duplicate",
        _xattr(b"user.a") + header(b"a", b"5") + _xattr(b"user.a", b"w") + header(b"a", b"5") + END,
        "a", 2560,
    ),
    Case(
        "xattr-on-link", _FILE + _xattr(b"user.a") + header(b"b", b"1", link=b"a") + END, "b", 1536
    ),
    Case("nanoseconds", pax([(b"mtime", b"0.5")]) + _FILE + END, "a", 1024),
    Case("global-values", pax([(b"mtime", b"5")], b"g") + _FILE + header(b"b") + END, "", 0),
    Case("global-values", pax([(b"SCHILY.xattr.user.a", b"v")], b"g") + _FILE + END, "", 0),
    Case("gnu-prefix", header(b"a", magic=b"ustar  \0", prefix=b"1234") + END, "1234/a", 0),
    Case("nul-in-name", pax([(b"path", b"a\0b")]) + _FILE + END, "a\\x00b", 0),
    Case("dotdot", header(b"d/../a") + END, "d/../a", 0),
    Case("long-target", header(b"a", b"2") + END, "a", 0),
    Case("volume-size", header(b"v", b"V", size=512) + END, "v" + "\\x00" * 15, 0),
    Case(
        "long-path",
        pax([(b"path", b"/".join([b"d" * 200] * 21))]) + _FILE + END,
        "/".join(["d" * 200] * 21), 512 + 4608,
    ),
)  # fmt: skip

#: What mkfs.erofs keeps, and the runtime reads otherwise, leaves out or refuses.
DISAGREEMENTS: Final = (
    Case("type-refused", header(b"a", b"7") + END, "a", 0),
    Case("type-refused", header(b"label", b"V") + _FILE + END, "label" + "\\x00" * 11, 0),
    Case("header-checksum", header(b"a", checksum=(b"+%o" % _SUM).ljust(8, b"\0")) + END, "a", 0),
    Case("header-checksum", _FILE[:500] + b"x" * 12 + END, "a", 0),
    Case("header-magic", header(b"a", magic=b"ustar 00", prefix=b"p") + END, "p/a", 0),
    Case("header-magic", header(b"a", b"3", magic=b"ustar 00", major=b"0000010\0") + END, "a", 0),
    Case("header-number", header(b"a", uid=b"+17\0\0\0\0\0") + END, "a", 0),
    Case("header-number", header(b"a", major=b"garbage\0") + END, "a", 0),
    Case("header-number", header(b"a", mtime=b" \00017") + END, "a", 0),
    Case("header-number", header(b"x", b"x", uid=b"garbage\0") + _FILE + END, "x", 0),
    Case("header-number", pax([(b"mtime", b"5")]) + header(b"a", mtime=b"soon") + END, "a", 1024),
    Case("pax-record", pax([(b"uid", b" 7")]) + _FILE + END, "", 0),
    Case("pax-record", pax([(b"atime", b"yesterday")]) + _FILE + END, "", 0),
    Case("pax-record", pax([(b"mtime", b"5 .5")]) + _FILE + END, "", 0),
    Case("pax-record", pax([(b"uname", b"a\0b")]) + _FILE + END, "", 0),
    Case("pax-record", pax([(b"", b"v")]) + _FILE + END, "", 0),
    Case("pax-record", _raw(b"11  path=b\n") + _FILE + END, "", 0),
    Case("pax-twice", pax([(b"path", b"b")]) + pax([(b"uid", b"5")]) + _FILE + END, "", 1024),
    Case("gnu-long-name", long_name(b"b") + pax([(b"path", b"c")]) + _FILE + END, "c", 1024),
    Case("gnu-long-name", long_name(b"") + header(b"a", b"5") + END, "", 0),
    Case(
        "gnu-long-name",
        long_name(b"b", b"K") + pax([(b"linkpath", b"c")]) + header(b"a", b"2") + END,
        "c", 1024,
    ),
    Case(
        "extension-size",
        pax([(b"size", b"3")]) + long_name(b"longer") + header(b"a", size=3) + padded(b"abc") + END,
        "././@LongLink", 1024,
    ),
    Case(
        "global-header",
        pax([(b"path", b"b")]) + pax([(b"comment", b"c")], b"g") + _FILE + END,
        "b", 1024,
    ),
    Case(
        "global-header",
        header(b"PaxHeaders") + pax([(b"comment", b"c")], b"g") + END,
        "PaxHeaders/x", 512,
    ),
    Case("mtime-range", header(b"a", mtime=-5) + END, "a", 0),
    Case("mtime-range", pax([(b"mtime", b"9223372037")]) + _FILE + END, "a", 1024),
    Case("owner-kept", header(b"a", gid=b"\x80\0\0\0\xff\xff\xff\xff") + END, "a", 0),
    Case("owner-kept", pax([(b"uid", b"-1")]) + _FILE + END, "a", 1024),
    Case(
        "link-attributes",
        _FILE + header(b"b", b"1", link=b"a", mode=b"0004755\0") + END,
        "b", 512,
    ),
    Case(
        "link-attributes",
        _xattr(b"security.capability", _CAPABILITY) + _FILE + header(b"b", b"1", link=b"a") + END,
        "b", 1536,
    ),
    Case("link-to-itself", _FILE + header(b"a", b"1", link=b"a") + END, "a", 512),
    Case("undeclared-parent", header(b"d/a") + END, "d", 0),
    Case("directory-replaced", header(b"a", b"5", mtime=5) + header(b"a") + END, "a", 512),
    Case("whiteout-over-entry", _FILE + header(b".wh.a") + END, ".wh.a", 512),
    Case("whiteout-form", _FILE + header(b".wh.b", b"1", link=b"a") + END, ".wh.b", 512),
    Case("whiteout-form", header(b".wh.b/.", b"5") + END, ".wh.b/.", 0),
    Case("xattr-trusted", _xattr(b"trusted.overlay.redirect", b"/b") + _FILE + END, "a", 1024),
    Case(
        "xattr-trusted",
        _xattr(b"trusted.overlay.opaque", b"y") + header(b"a", b"5") + END,
        "a", 1024,
    ),
    Case("xattr-libarchive", _xattr(b"user.a", b"dg==", b"LIBARCHIVE") + _FILE + END, "a", 1024),
    Case("xattr-refused", _xattr(b"security.capability", b"all") + _FILE + END, "a", 1024),
    Case("xattr-refused", _xattr(b"user.a") + header(b"a", b"2", link=b"b") + END, "a", 1024),
    Case("xattr-refused", _xattr(b"user.a") + header(b".wh.a") + END, ".wh.a", 1024),
    Case("xattr-acl", _xattr(b"system.posix_acl_access", b"rwx") + _FILE + END, "a", 1024),
    Case(
        "xattr-acl",
        _xattr(b"system.posix_acl_access", _ACL) + header(b"a", mode=b"0000600\0") + END,
        "a", 1024,
    ),
)  # fmt: skip

#: What the runtime sees as we do.
NOTES: Final = (
    Case("missing-end", _FILE, "", 512),
    Case("trailing-data", _FILE + END + BODY, "", 1536),
    Case("trailing-length", _FILE + END + bytes(40_000), "", 1536),
    Case("number-truncated", header(b"a", uid=b"\xff" * 7 + b"\xfe") + END, "a", 0),
    Case("number-truncated", pax([(b"gid", b"4294967301")]) + _FILE + END, "", 0),
)

#: Odd archives without any warning.
HARMLESS: Final[dict[str, bytes]] = {
    "a parent that is declared later": header(b"d/a") + header(b"d", b"5") + END,
    "a hard link like its target": header(b"a", mtime=5)
    + header(b"b", b"1", link=b"a", mtime=5) + END,
    "both forms of an xattr": pax(
        [(b"LIBARCHIVE.xattr.user.a", b"dg"), (b"SCHILY.xattr.user.a", b"v")]
    ) + _FILE + END,
    "an xattr twice": (_xattr(b"user.a") + header(b"a", b"5")) * 2 + END,
    "a capability": _xattr(b"security.capability", _CAPABILITY) + _FILE + END,
    "an ACL like the mode": _xattr(b"system.posix_acl_access", _ACL)
    + header(b"a", mode=b"0000644\0") + END,
    "a name space that no kernel has": _xattr(b"other.a") + _FILE + END,
    "a NUL behind a long name": long_name(b"b\0c") + _FILE + END,
    "a long name behind a pax path": pax([(b"path", b"c")]) + long_name(b"b") + _FILE + END,
    "dots that lead out of the root": header(b"../a") + END,
    "times in a GNU header": _with(_FILE, 257, b"ustar  \0")[:345] + bytes(167) + END,
    "a prefix of Go before 1.8": header(b"a", magic=b"ustar  \0", prefix=b"p")
    + header(b"p", b"5") + END,
    "a comment for the whole archive": _with(pax([(b"comment", b"c")], b"g")[:512], 0, b"comment\0")
    + padded(record(b"comment", b"c")) + END,
    "times with signs": pax([(b"mtime", b"+5.5"), (b"atime", b"5."), (b"ctime", b"")])
    + _FILE + END,
    "a size in a pax header": pax([(b"size", b"1")]) + header(b"a", size=1) + padded(b"a") + END,
    "an empty record": _raw(record(b"comment", b"")) + _FILE + END,
}  # fmt: skip
