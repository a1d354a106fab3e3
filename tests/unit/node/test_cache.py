"""Entries, staging and pruning on disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.errors import ConfigurationError, SpoolExhausted
from app.oci.digest import DiffID, Digest
from tests.support import bolt
from workers.node.cache import ContentCache, Record
from workers.node.prune import prune

A, B = (DiffID("sha256:" + letter * 64) for letter in "ab")


def install(cache: ContentCache, diff_id: DiffID, *, sidecar: bool = False) -> Record:
    content = b"blob of " + diff_id.encode()
    record = Record(
        diff_id=diff_id, layer=Digest.of(b"layer"), layout="single-device", root_hash="11" * 32,
        bundle_root_hash="22" * 32, hash_offset=512, size=len(content), bundle=Digest.of(b"bundle"),
        profile="containerd-erofs", signer="CN=x", created=1.0,
    )  # fmt: skip
    with cache.staging(1000) as folder:
        (folder / "blob").write_bytes(content)
        cache.install(folder / "blob", record, sidecar=sidecar)
    return record


@pytest.fixture
def cache(tmp_path: Path) -> ContentCache:
    return ContentCache(tmp_path / "cache")


@pytest.fixture
def snapshotter(tmp_path: Path) -> Path:
    bolt.snapshots(tmp_path / "snapshotter" / "metadata.db", [])
    return tmp_path / "snapshotter"


def test_a_relative_cache_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="absolute"):
        ContentCache(Path("cache"))


def test_an_entry_lies_where_containerd_looks(cache: ContentCache) -> None:
    record = install(cache, A, sidecar=True)
    blob = cache.root / "sha256" / "aa" / ("a" * 64 + ".erofs")
    assert blob.read_bytes() == b"blob of " + A.encode()
    assert blob.stat().st_mode & 0o777 == 0o644
    sidecar = blob.with_name(blob.name + ".dmverity")
    assert sidecar.read_text() == '{"roothash": "' + "11" * 32 + '", "hashoffset": 512}'
    assert cache.complete(A, "single-device", sidecar=True) == record
    assert cache.complete(A, "device-table", sidecar=True) is None
    assert cache.complete(A, "single-device", sidecar=False) is None
    assert list(cache.entries()) == [A]


def test_the_blob_never_stands_beside_anothers_root_hash(
    cache: ContentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever call fails, a blob with a sidecar has the one that was written with it."""
    install(cache, A, sidecar=True)
    blob, sidecar = cache.blob(A), cache.sidecar(A)
    old = blob.read_bytes(), sidecar.read_text()
    for failing in range(12):
        outcomes = iter([None] * failing + [OSError("disk")] + [None] * 20)

        def fsync(descriptor: int, outcomes: Iterator[OSError | None] = outcomes) -> None:
            if (error := next(outcomes)) is not None:
                raise error

        record = install(cache, A, sidecar=True).model_copy(update={"root_hash": "33" * 32})
        with monkeypatch.context() as patch, cache.staging(1000) as folder:
            (folder / "blob").write_bytes(b"new".ljust(record.size))
            patch.setattr(os, "fsync", fsync)
            with suppress(OSError):
                cache.install(folder / "blob", record, sidecar=True)
        if blob.exists():
            new = (b"new".ljust(record.size), sidecar.read_text())
            assert (blob.read_bytes(), sidecar.read_text()) in (old, new)
            assert blob.read_bytes() == old[0] or "33" * 32 in new[1]


def test_staging_of_a_process_that_died_is_removed(cache: ContentCache) -> None:
    with cache.staging(10) as living:
        orphan = living.parent / "orphan"
        orphan.mkdir()
        (orphan / "lock").touch()
        (orphan / "blob").write_bytes(b"half")
        with cache.staging(10):
            assert not orphan.exists()
            assert living.exists()
    assert not living.exists()


def test_a_layer_that_does_not_fit_is_refused_before_it_is_fetched(cache: ContentCache) -> None:
    with pytest.raises(SpoolExhausted, match="prune"), cache.staging(1 << 60):
        pass


def test_prune_keeps_what_is_used_or_young(cache: ContentCache, snapshotter: Path) -> None:
    for diff_id in (A, B):
        install(cache, diff_id)
    bolt.snapshots(snapshotter / "metadata.db", [os.fsencode(cache.blob(A))])
    young = prune(cache, [snapshotter], min_age=3600)
    assert (young.removed, young.in_use, young.young) == ((), (A,), (B,))
    dry = prune(cache, [snapshotter], min_age=0, dry_run=True)
    assert dry.removed == (B,)
    assert set(cache.entries()) == {A, B}
    report = prune(cache, [snapshotter], min_age=0, settle=0)
    assert report.removed == (B,)
    assert report.freed > 0
    assert list(cache.entries()) == [A]
    assert cache.record(B) is None


def test_a_reference_that_appears_meanwhile_saves_its_entry(
    cache: ContentCache, snapshotter: Path
) -> None:
    """A pull found the entry just before prune took its name away, and records it a bit later."""
    install(cache, A)

    def pull() -> None:
        deadline = time.monotonic() + 5
        while cache.blob(A).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        bolt.snapshots(snapshotter / "metadata.db", [os.fsencode(cache.blob(A))])

    thread = threading.Thread(target=pull)
    thread.start()
    report = prune(cache, [snapshotter], min_age=0, settle=1.0)
    thread.join()
    assert report.removed == ()
    assert report.in_use == (A,)
    assert list(cache.entries()) == [A]


def test_an_interrupted_prune_is_undone_by_the_next(cache: ContentCache, snapshotter: Path) -> None:
    install(cache, A)
    cache.blob(A).rename(cache.blob(A).with_name(cache.blob(A).name + ".pruning"))
    prune(cache, [snapshotter], min_age=3600)
    assert list(cache.entries()) == [A]


def test_prune_without_a_snapshotter_removes_nothing(cache: ContentCache, tmp_path: Path) -> None:
    install(cache, A)
    with pytest.raises(ConfigurationError):
        prune(cache, [tmp_path / "nowhere"], min_age=0)
    assert list(cache.entries()) == [A]
