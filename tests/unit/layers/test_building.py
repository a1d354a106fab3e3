import gzip
import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
import zstandard

from app.errors import Cancelled, ContentMismatch, SourceInvalid, SpoolExhausted
from app.oci.digest import DiffID, Digest
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.singledevice import single_device_form
from workers.formats.verity.blocks import block_hashes
from workers.formats.verity.superblock import VeritySuperblock
from workers.layers.building import build_layer
from workers.layers.built import BuiltLayer, ExpectedLayer, LayerOptions
from workers.layers.identity import erofs_uuid, verity_uuid
from workers.layers.spool import Spool


def make_tar(sizes: list[int], seed: int = 1) -> bytes:
    rng = Random(seed)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"etc/dir{number % 7}/file{number:04d}")
            info.size, info.mtime = size, 1_700_000_000 + number
            tar.addfile(info, io.BytesIO(rng.randbytes(size)))
    return out.getvalue()


TAR = make_tar([0, 1, 511, 512, 513, 100_000] * 40)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", 1 << 30)
    yield spool
    assert spool.reserved() == 0
    assert not [t.name for t in threading.enumerate() if t.name.startswith("verilayer-")]


def build(
    spool: Spool,
    blob: bytes,
    compression: str = "gzip",
    *,
    options: LayerOptions | None = None,
    expected: ExpectedLayer | None = None,
    cancelled: Callable[[], bool] | None = None,
    size: int = 50_000,
) -> BuiltLayer:
    return build_layer(
        (blob[at : at + size] for at in range(0, len(blob), size)),
        compression=compression,
        options=options or LayerOptions(),
        spool=spool,
        expected=expected,
        cancelled=cancelled,
    )


def root_and_tree(data: bytes, uuid: UUID) -> tuple[str, bytes]:
    """Straight from the definition."""
    level, levels = bytes(block_hashes(data)), b""
    while len(level) > 32:
        level = level.ljust(-(-len(level) // 512) * 512, b"\0")
        levels = level + levels
        level = bytes(block_hashes(level))
    superblock = VeritySuperblock(uuid.bytes, len(data) // 512).encode()
    return level.hex(), superblock + levels


@pytest.mark.parametrize("padding", [512, 4096])
@pytest.mark.parametrize("compression", list(PACK))
def test_all_of_a_layer_comes_from_one_pass(spool: Spool, compression: str, padding: int) -> None:
    blob = PACK[compression](TAR)
    digest = Digest.of(blob)
    expected = ExpectedLayer(digest, len(blob), DiffID("sha256:" + hashlib.sha256(TAR).hexdigest()))
    with build(
        spool, blob, compression, options=LayerOptions(padding=padding), expected=expected
    ) as layer:
        builder = TarIndexBuilder(TarIndexOptions(uuid=erofs_uuid(digest).bytes))
        builder.feed(TAR)
        index = builder.finish()
        data = index.data + TAR
        assert layer.device_table.index == index.data
        assert layer.facts.index_digest == Digest.of(index.data)
        assert (layer.facts.layer_digest, layer.facts.layer_size) == (digest, len(blob))
        assert (layer.facts.diff_id, layer.facts.tar_size) == (expected.diff_id, len(TAR))
        assert (layer.facts.uuid, layer.facts.entries) == (str(erofs_uuid(digest)), index.entries)
        assert layer.facts.data_size == len(data)
        assert layer.facts.hash_offset == -(-len(data) // padding) * padding
        data = data.ljust(layer.facts.hash_offset, b"\0")
        root, tree = root_and_tree(data, verity_uuid(digest))
        assert layer.facts.root_hash == root
        assert layer.facts.index_size == len(index.data)
        assert (layer.facts.builder_version, layer.facts.padding) == ("1.9.3", padding)
        assert layer.device_table.tree.open().read() == tree
        assert (layer.facts.tree_size, layer.facts.tree_digest) == (len(tree), Digest.of(tree))
        single = single_device_form(index.data)
        root, tree = root_and_tree(single + data[len(single) :], verity_uuid(digest))
        assert layer.facts.single_device_root_hash == root
        form = layer.form("single-device")
        assert (form.index, form.root_hash) == (single, root)
        out = io.BytesIO()
        form.tree.write(out)
        assert form.tree.digest == Digest.of(tree)
        assert out.getvalue() == tree
        assert {"stream", "index", "tree", "total"} <= set(layer.timings)


def test_the_digest_that_uuids_derive_from_can_be_given(spool: Spool) -> None:
    other = Digest("sha256:" + "12" * 32)
    with build(spool, TAR, "", options=LayerOptions(layer_digest=other)) as layer:
        assert layer.facts.layer_digest == Digest.of(TAR)
        assert layer.facts.uuid == str(erofs_uuid(other))
    uuid = UUID("01234567-89ab-5def-8123-456789abcdef")
    with build(spool, TAR, "", options=LayerOptions(uuid=uuid)) as layer:
        assert layer.facts.uuid == str(uuid)
        assert uuid.bytes in layer.device_table.index


def test_facts_leave_out_the_layout_that_is_not_wanted(spool: Spool) -> None:
    with (
        build(spool, TAR, "") as both,
        build(spool, TAR, "", options=LayerOptions(single_device=False)) as one,
    ):
        assert both.facts.single_device_root_hash == both.form("single-device").root_hash
        assert one.facts == replace(both.facts, single_device_root_hash=None)
        assert one.form("single-device").root_hash == both.facts.single_device_root_hash


def test_uuid_known_late_gives_the_same_bytes_as_known_before(spool: Spool) -> None:
    blob = PACK["gzip"](TAR)
    with (
        build(spool, blob) as late,
        build(spool, blob, expected=ExpectedLayer(digest=Digest.of(blob))) as early,
    ):
        assert late.device_table.index == early.device_table.index
        assert late.facts.root_hash == early.facts.root_hash


def test_a_sha512_digest_is_checked_and_kept(spool: Spool) -> None:
    for compression in PACK:
        blob = PACK[compression](TAR)
        digest = Digest("sha512:" + hashlib.sha512(blob).hexdigest())
        with build(spool, blob, compression, expected=ExpectedLayer(digest=digest)) as layer:
            assert layer.facts.layer_digest == digest
            assert layer.facts.diff_id == "sha256:" + hashlib.sha256(TAR).hexdigest()


def test_a_compressed_media_type_is_no_promise(spool: Spool) -> None:
    with build(spool, PACK["zstd"](TAR), "gzip") as one, build(spool, TAR, "gzip") as two:
        assert one.facts.diff_id == two.facts.diff_id == Digest.of(TAR)


WRONG = Digest("sha256:" + "00" * 32)


@pytest.mark.parametrize("compression", list(PACK))
def test_a_blob_that_is_not_what_was_promised_is_refused(spool: Spool, compression: str) -> None:
    blob = PACK[compression](TAR)
    good = Digest.of(blob)
    for expected in [
        ExpectedLayer(digest=WRONG),
        ExpectedLayer(digest=good, size=len(blob) - 1),
        ExpectedLayer(digest=good, size=len(blob) + 1),
    ]:
        with pytest.raises(ContentMismatch):
            build(spool, blob, compression, expected=expected)
    with pytest.raises(SourceInvalid) as caught:
        build(spool, blob, compression, expected=ExpectedLayer(good, None, DiffID(WRONG)))
    assert caught.value.details["reason"] == "diff-id-mismatch"


@pytest.mark.parametrize("compression", list(PACK))
@pytest.mark.parametrize("at", [0.01, 0.5, 0.999])
def test_damage_on_the_way_is_not_the_publishers_fault(
    spool: Spool, compression: str, at: float
) -> None:
    blob = PACK[compression](TAR)
    expected = ExpectedLayer(digest=Digest.of(blob), size=len(blob))
    damaged = bytearray(blob)
    for offset in range(int(len(blob) * at), len(blob), 1000):
        damaged[offset] ^= 0x55
    with pytest.raises(ContentMismatch):
        build(spool, bytes(damaged), compression, expected=expected)
    with pytest.raises(ContentMismatch):
        build(spool, blob[: int(len(blob) * at)], compression, expected=expected)


def test_the_same_damage_in_what_was_published_is(spool: Spool) -> None:
    blob = PACK["gzip"](TAR)[:-9]
    expected = ExpectedLayer(digest=Digest.of(blob), size=len(blob))
    with pytest.raises(SourceInvalid) as caught:
        build(spool, blob, expected=expected)
    assert caught.value.details["reason"] == "gzip-truncated"
    garbage = Random(3).randbytes(5000)
    with pytest.raises(SourceInvalid) as caught:
        build(spool, garbage, "", expected=ExpectedLayer(digest=Digest.of(garbage)))
    assert caught.value.details["offset"] is not None


def test_a_bomb_stops_the_reading_at_once(spool: Spool) -> None:
    blob = PACK["gzip"](bytes(200 << 20))
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for at in range(0, len(blob), 1000):
            taken += 1000
            yield blob[at : at + 1000]
        while True:
            taken += 1000
            yield bytes(1000)

    for options, reason in [
        (LayerOptions(max_uncompressed_bytes=1 << 20), "too-large"),
        (LayerOptions(max_ratio=10.0), "ratio-bomb"),
    ]:
        with pytest.raises(SourceInvalid) as caught:
            build_layer(
                chunks(),
                compression="gzip",
                options=options,
                spool=spool,
                expected=ExpectedLayer(digest=Digest.of(blob)),
            )
        assert str(caught.value.details["reason"]) == reason
        assert taken < 20 << 20


def test_a_cancelled_build_stops_between_chunks(spool: Spool) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    with pytest.raises(Cancelled):
        build(spool, make_tar([900_000] * 9), "", cancelled=cancelled, size=300_000)
    assert asked == 4


def test_an_error_of_the_source_is_raised_as_it_is(spool: Spool) -> None:
    def chunks() -> Iterator[bytes]:
        yield TAR[:400_000]
        raise TimeoutError("the registry went away")

    with pytest.raises(TimeoutError, match="went away"):
        build_layer(chunks(), compression="", options=LayerOptions(), spool=spool)


def test_a_layer_whose_spool_cannot_fit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10 << 20)

    def chunks() -> Iterator[bytes]:
        raise AssertionError("read")
        yield b""

    with pytest.raises(SpoolExhausted):
        build_layer(
            chunks(),
            compression="",
            options=LayerOptions(),
            spool=spool,
            expected=ExpectedLayer(size=1 << 30),
        )
    assert spool.reserved() == 0


def test_a_guess_does_not_refuse_what_would_fit(tmp_path: Path) -> None:
    tar = make_tar([5_000_000])
    spool = Spool(tmp_path, (1 << 20) + len(tar) // 8)
    blob = PACK["gzip"](tar)
    with build(spool, blob, expected=ExpectedLayer(size=len(blob))) as layer:
        assert layer.facts.tar_size == len(tar)


def test_a_layer_that_proves_larger_than_the_spool_is_stopped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 2 << 20)
    blob = PACK["gzip"](make_tar([0, 50 << 20]))
    with pytest.raises(SpoolExhausted):
        build(spool, blob[:1000] + blob[1000:], size=1 << 20)
    assert spool.reserved() == 0


def test_an_error_is_seen_at_the_next_chunk(spool: Spool) -> None:
    garbage = Random(4).randbytes(600_000)
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        while taken < 500:
            yield garbage
            taken += 1
            time.sleep(0.01)

    with pytest.raises(SourceInvalid):
        build_layer(chunks(), compression="", options=LayerOptions(), spool=spool)
    assert taken < 500
