"""Each silent loss of mkfs.erofs is told, with entry and offset."""

from __future__ import annotations

import pytest

from tests.support.tarmaker import END, header, padded, pax, record
from tests.support.vectors import build
from tests.support.warning_cases import DISAGREEMENTS, HARMLESS, LOSSES, NOTES, Case
from workers.formats.errors import printable
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.warning import KINDS, is_lossy

_CASES = (*LOSSES, *DISAGREEMENTS, *NOTES)
#: Kinds that only other builder versions, or very many xattrs or warnings, give.
_ELSEWHERE = {"more", "whiteout-kept", "xattr-dropped", "xattr-area", "xattr-garbled"}


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.kind)
def test_warning(case: Case) -> None:
    found = {w.kind: w for w in build(case.tar).warnings}
    assert case.kind in found
    assert (found[case.kind].entry, found[case.kind].offset) == (case.entry, case.offset)
    assert found[case.kind].message == KINDS[case.kind].text


def test_every_kind_has_a_case() -> None:
    assert {case.kind for case in _CASES} | _ELSEWHERE == set(KINDS)


def test_notes_are_not_lossy() -> None:
    assert {kind for kind in KINDS if not is_lossy(kind)} == {
        *(case.kind for case in NOTES),
        *("xattr-dropped", "more"),
    }
    assert is_lossy("of a later release")


@pytest.mark.parametrize("name", HARMLESS)
def test_no_false_alarm(name: str) -> None:
    assert build(HARMLESS[name]).warnings == ()


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
    assert [w.kind for w in build(tar, "1.8.10").warnings] == [
        "xattr-garbled",
        "xattr-libarchive",
    ]


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
