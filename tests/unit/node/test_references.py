"""Reading what containerd's snapshots refer to."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.oci.digest import DiffID
from tests.support import bolt
from workers.node import boltfile
from workers.node.references import referenced

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def entry(diff_id: str) -> bytes:
    name = diff_id[7:]
    return f"/cache/sha256/{name[:2]}/{name}.erofs".encode()


def test_labels_are_found_in_nested_inline_and_branched_buckets(tmp_path: Path) -> None:
    inline = bolt.leaf(0, [(b"blob.ref", entry(A), False)], inline=True)
    pages = [
        bolt.leaf(3, [(b"labels", bolt.bucket(0, inline), True), (b"v1", bolt.bucket(4), True)]),
        bolt.branch(4, [(b"a", 5), (b"m", 6)]),
        bolt.leaf(5, [(b"a", entry(B), False)]),
        bolt.leaf(6, [(b"m", b"/cache/sha256/other", False), (b"n", bolt.bucket(7), True)]),
        bolt.leaf(7, [(b"big", b"x" * 9000, False), (b"z", entry(C), False)]),
    ]
    bolt.write_database(tmp_path / "metadata.db", pages, 3)
    assert referenced([tmp_path]) == {DiffID(A), DiffID(B), DiffID(C)}


def test_freed_pages_count_for_nothing(tmp_path: Path) -> None:
    stale = bolt.leaf(4, [(b"x", entry(B), False)])
    bolt.write_database(
        tmp_path / "metadata.db", [bolt.leaf(3, [(b"x", entry(A), False)]), stale], 3
    )
    assert referenced([tmp_path]) == {DiffID(A)}


def test_symbolic_links_of_prereleases_count(tmp_path: Path) -> None:
    bolt.snapshots(tmp_path / "metadata.db", [])
    (tmp_path / "snapshots" / "7").mkdir(parents=True)
    (tmp_path / "snapshots" / "7" / "layer.erofs").symlink_to(entry(A).decode())
    assert referenced([tmp_path]) == {DiffID(A)}


def test_a_missing_or_damaged_database_stops_everything(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no directory"):
        referenced([tmp_path])
    (tmp_path / "metadata.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(ConfigurationError, match="cannot read"):
        referenced([tmp_path])


def test_damage_is_an_error_or_keeps_references_but_never_hangs(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    bolt.snapshots(path, [entry(A), entry(B)])
    whole = path.read_bytes()
    source = random.Random(1)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[source.randrange(3 * bolt.PAGE, 3 * bolt.PAGE + 60)] = source.randrange(256)
        path.write_bytes(damaged)
        try:
            boltfile.values(path)
        except boltfile.NotBolt:
            refused += 1
    assert refused > 100


def test_a_page_that_contains_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    bolt.write_database(path, [bolt.branch(3, [(b"a", 3)])], 3)
    with pytest.raises(boltfile.NotBolt):
        boltfile.values(path)


def test_a_write_meanwhile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction's number moves while the walk is on its first page."""
    path = tmp_path / "metadata.db"
    bolt.snapshots(path, [entry(A)])
    original = boltfile._Walk.bucket

    def writing(walk: boltfile._Walk, number: int) -> object:
        with path.open("r+b") as out:
            out.write(bolt.meta(0, 3, 8))
        return original(walk, number)

    monkeypatch.setattr(boltfile._Walk, "bucket", writing)
    with pytest.raises(boltfile.Changed):
        boltfile.values(path)
