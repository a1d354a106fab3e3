"""Each silent loss of mkfs.erofs is told, with entry and offset."""

from __future__ import annotations

import pytest

from tests.support.tarmaker import END, header, number, padded, pax, record
from tests.support.vectors import build
from workers.formats.errors import printable
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.warning import KINDS

BODY = b"x" * 512
_CASES: list[tuple[str, bytes, str, int]] = [
    ("nul-type", header(b"a", b"\0") + END, "a", 0),
    ("sparse-dropped", header(b"a", b"S") + END, "a", 0),
    ("sparse-raw", pax([(b"GNU.sparse.major", b"1")]) + header(b"a") + END, "", 0),
    ("unknown-type", header(b"a", b"D") + END, "a", 0),
    ("torn-header", header(b"a") + bytes(100), "", 512),
    ("torn-extension", header(b"x", b"x", size=600) + b"1" * 99, "", 0),
    ("missing-end", header(b"a"), "", 512),
    ("zero-block", bytes(512) + header(b"a") + END, "", 0),
    ("damaged-header", header(b"", checksum=b"x" * 8) + END, "", 0),
    ("device-number", header(b"a", b"3", major=bytes(8)) + END, "a", 0),
    ("device-overflow", header(b"a", b"3", major=number(4096, 8)) + END, "a", 0),
    ("body-on-special", header(b"a", b"6", size=512) + BODY + END, "a", 0),
    ("body-on-whiteout", header(b".wh.a", size=512) + BODY + END, ".wh.a", 0),
    ("size-without-body", header(b"a", b"5", size=512) + END, "a", 0),
    ("trailing-data", header(b"a") + END + BODY, "", 1536),
    ("trailing-length", header(b"a") + END + bytes(40_000), "", 1536),
    ("whiteout-empty", header(b".wh.") + END, ".wh.", 0),
    ("whiteout-dots", header(b".wh...") + END, ".wh...", 0),
    (
        "whiteout-directory",
        header(b"a", b"5") + header(b".wh.a", b"5") + END,
        ".wh.a",
        512,
    ),
    (
        "xattr-name",
        pax([(b"SCHILY.xattr.user." + b"n" * 300, b"")]) + header(b"a") + END,
        "a",
        1024,
    ),
    (
        "xattr-value",
        pax([(b"SCHILY.xattr.user.a", b"v" * 70_000)]) + header(b"a") + END,
        "a",
        512 + 70_144,
    ),
    (
        "xattr-duplicate",
        (pax([(b"SCHILY.xattr.user.a", b"v")]) + header(b"a", b"5")) * 2 + END,
        "a",
        2560,
    ),
    (
        "xattr-on-link",
        header(b"a") + pax([(b"SCHILY.xattr.user.a", b"v")]) + header(b"b", b"1", link=b"a") + END,
        "b",
        1536,
    ),
    ("nanoseconds", pax([(b"mtime", b"0.5")]) + header(b"a") + END, "a", 1024),
    ("number-truncated", header(b"a", uid=b"\x80" + b"\xff" * 7) + END, "a", 0),
    ("global-values", pax([(b"mtime", b"5")], b"g") + header(b"a") + END, "", 0),
    ("gnu-prefix", header(b"a", magic=b"ustar  \0", prefix=b"1234") + END, "1234/a", 0),
    ("nul-in-name", pax([(b"path", b"a\0b")]) + header(b"a") + END, "a\\x00b", 0),
    ("dotdot", header(b"d/../a") + END, "d/../a", 0),
    ("long-target", header(b"a", b"2") + END, "a", 0),
    ("volume-size", header(b"v", b"V", size=512) + END, "v" + "\\x00" * 15, 0),
]
#: Kinds that only other builder versions, or very long archives, give.
_ELSEWHERE = {"more", "whiteout-kept", "xattr-dropped", "long-path", "xattr-area", "xattr-garbled"}


@pytest.mark.parametrize(("kind", "tar", "entry", "offset"), _CASES)
def test_warning(kind: str, tar: bytes, entry: str, offset: int) -> None:
    found = {w.kind: w for w in build(tar).warnings}
    assert kind in found
    assert (found[kind].entry, found[kind].offset) == (entry, offset)
    assert found[kind].message == KINDS[kind]


def test_every_kind_has_a_case() -> None:
    assert {case[0] for case in _CASES} | _ELSEWHERE == set(KINDS)


def test_kinds_of_old_versions() -> None:
    tar = pax([(b"SCHILY.xattr.other.a", b"v")]) + header(b"a") + END
    assert [w.kind for w in build(tar, "1.8.6").warnings] == ["xattr-dropped"]
    assert build(tar, "1.8.10").warnings == ()
    assert [w.kind for w in build(header(b".wh.a") + END, "1.8.7").warnings] == ["whiteout-kept"]


def test_xattrs_beyond_the_images_count() -> None:
    limits = TarLimits(max_xattr_bytes=1 << 20)
    builder = TarIndexBuilder(TarIndexOptions(uuid=bytes(16), limits=limits))
    builder.feed(pax([(b"SCHILY.xattr.user.%d" % i, b"v" * 60_000) for i in range(5)]))
    builder.feed(header(b"a") + END)
    assert [w.kind for w in builder.finish().warnings] == ["xattr-area"]


def test_garbled_base64() -> None:
    tar = pax([(b"LIBARCHIVE.xattr.user.a", b"dgB3")]) + header(b"a") + END
    assert [w.kind for w in build(tar, "1.8.10").warnings] == ["xattr-garbled"]


def test_long_path() -> None:
    tar = pax([(b"path", b"/".join([b"d" * 200] * 21))]) + header(b"a") + END
    assert [w.kind for w in build(tar).warnings] == ["long-path"]


def test_a_plain_archive_has_none() -> None:
    tar = header(b"./", b"5") + header(b"a", size=3) + padded(b"abc")
    tar += pax([(b"mtime", b"1.5"), (b"SCHILY.xattr.user.a", b"1")]) + header(b"b") + END
    assert build(tar).warnings == ()
    assert build(tar + bytes(8192)).warnings == ()


def test_record_helper() -> None:
    assert record(b"a", b"b") == b"6 a=b\n"


def test_names_for_people() -> None:
    assert printable("é".encode()) == "é"
    assert printable(b"\xff\n") == "\\xff\\n"
