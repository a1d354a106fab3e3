"""Every bound, with its code, and memory that no number in a tar can claim."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from tests.support.tarmaker import END, header, long_name, pax
from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.limits import TarLimits

_CASES: list[tuple[str, dict[str, int], bytes]] = [
    ("tar_bytes", {"max_tar_bytes": 1023}, header(b"a") + END),
    ("entries", {"max_entries": 1}, header(b"a") + header(b"b") + END),
    ("entries", {"max_entries": 3}, header(b"a/b/c/d") + END),
    ("path_bytes", {"max_path_bytes": 4}, header(b"a/b/c") + END),
    ("path_depth", {"max_path_depth": 2}, header(b"a/b/c") + END),
    ("symlink_bytes", {"max_symlink_bytes": 3}, header(b"a", b"2", link=b"bcde") + END),
    ("extension_bytes", {"max_extension_bytes": 9}, pax([(b"comment", b"1")]) + END),
    ("extension_bytes", {"max_extension_bytes": 9}, long_name(b"n" * 20) + END),
    ("extension_headers", {"max_extension_headers": 2}, pax([(b"mtime", b"1")]) * 3 + END),
    ("extension_headers", {"max_extension_headers": 2}, pax([(b"mtime", b"1")], b"g") * 3 + END),
    ("pax_records", {"max_pax_records": 1}, pax([(b"a", b"1"), (b"b", b"1")]) + END),
    ("xattr_bytes", {"max_xattr_bytes": 8}, pax([(b"SCHILY.xattr.user.a", b"123")]) + END),
    ("directory_entries", {"max_directory_entries": 1}, header(b"a") + header(b"b") + END),
    ("directory_entries", {"max_directory_entries": 1}, header(b"a/f") + header(b"b/f") + END),
    ("index_bytes", {"max_index_bytes": 100}, header(b"a") + header(b"b") + END),
]


def _build(tar: bytes, limits: TarLimits) -> Any:
    builder = TarIndexBuilder(TarIndexOptions(uuid=bytes(16), limits=limits))
    builder.feed(tar)
    return builder.finish()


@pytest.mark.parametrize(("name", "bounds", "tar"), _CASES)
def test_limit(name: str, bounds: dict[str, int], tar: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        _build(tar, TarLimits(**bounds))
    assert caught.value.code == f"limit-{name}"
    assert caught.value.offset is not None or name == "index_bytes"
    _build(tar, TarLimits())


@pytest.mark.parametrize(
    "tar",
    [
        header(b"a", size=2**62) + bytes(1 << 16),
        header(b"a", size=b"77777777777") + bytes(1 << 16),
        header(b"a", b"x", size=2**30) + bytes(1 << 16),
        header(b"a", b"L", size=2**40) + bytes(1 << 16),
        header(b"a", b"K", size=4096) + bytes(1 << 10),
        pax([(b"size", b"9" * 30)]) + header(b"a") + bytes(1 << 16),
    ],
)
def test_claimed_sizes_cost_nothing(tar: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(FormatError):
        _build(tar, TarLimits())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


def test_memory_does_not_grow_with_files() -> None:
    builder = TarIndexBuilder(TarIndexOptions(uuid=bytes(16)))
    chunk = bytes(1 << 20)
    builder.feed(header(b"huge", size=256 << 20))
    tracemalloc.start()
    for _ in range(256):
        builder.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    builder.feed(END)
    assert builder.finish().entries == 1
    assert peak < 1 << 16


def test_a_global_xattr_cannot_be_multiplied_into_a_huge_index() -> None:
    tar = pax([(b"SCHILY.xattr.user.a", b"x" * 60_000)], b"g")
    tar += b"".join(header(b"f%d" % i) for i in range(500)) + END
    with pytest.raises(FormatError) as caught:
        _build(tar, TarLimits(max_index_bytes=10 << 20))
    assert caught.value.code == "limit-index_bytes"


def test_warnings_are_counted_beyond_their_limit() -> None:
    tar = b"".join(header(b"f%d" % i, b"\0") for i in range(20)) + END
    index = _build(tar, TarLimits(max_warnings=3))
    warnings = index.warnings
    assert [w.kind for w in warnings] == ["nul-type"] * 3 + ["more"]
    assert warnings[3].message.startswith("17 ")
    assert [(each.first.kind, each.first.entry, each.count) for each in index.counts] == [
        ("nul-type", "f0", 20)
    ]


@pytest.mark.parametrize("limit", [0, 1, 19, 20, 21, 1000])
def test_counts_by_kind_are_exact_whatever_the_limit(limit: int) -> None:
    tar = b"".join(header(b"f%d" % i, b"\0") for i in range(20))
    tar += b"".join(header(b"s%d" % i, b"S") for i in range(2)) + END
    index = _build(tar, TarLimits(max_warnings=limit))
    assert [(each.first.kind, each.first.entry, each.count) for each in index.counts] == [
        ("nul-type", "f0", 20),
        ("sparse-dropped", "s0", 2),
    ]
    kept = [w for w in index.warnings if w.kind != "more"]
    assert len(kept) == min(limit, 22)
    assert (index.warnings[-1].kind == "more") is (limit < 22)
