import hashlib
import random

import pytest

from workers._native import blocks as native
from workers.formats.verity import blocks
from workers.formats.verity.blocks import (
    DeferredDigest,
    LeafHasher,
    block_hashes,
    pure_block_hashes_into,
)
from workers.formats.verity.values import Salt

SALTS = [bytes(32), bytes(range(32)), b"", b"short", bytes(40)]


def reference(data: bytes, salt: bytes) -> bytes:
    starts = range(0, len(data), 512)
    return b"".join(hashlib.sha256(salt + data[at : at + 512]).digest() for at in starts)


@pytest.fixture(params=["native", "pure"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "pure":
        monkeypatch.setattr(blocks, "blocks", None)
    elif native is None:
        pytest.skip("the native extension is not built here")
    return name


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("salt", SALTS)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 15, 16, 17, 34])
def test_each_block_is_hashed_behind_the_salt(salt: bytes, count: int) -> None:
    data = random.Random(count).randbytes(512 * count)
    assert block_hashes(data, Salt(salt)) == reference(data, salt)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("salt", SALTS)
@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 511, 512, 513, 5120, 9999])
def test_any_chunking_gives_the_same_leaves_and_digest(size: int, salt: bytes) -> None:
    rng = random.Random(size)
    data = rng.randbytes(size)
    hasher = LeafHasher(Salt(salt))
    leaves, at = bytearray(), 0
    while at < size:
        step = rng.choice([1, 100, 511, 512, 513, 2048])
        leaves += hasher.update(memoryview(data)[at : at + step])
        at += step
    leaves += hasher.finish()
    assert leaves == reference(data.ljust(-(-size // 512) * 512, b"\0"), salt)
    assert hasher.count == len(leaves) // 32
    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


START = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")


@pytest.mark.skipif(native is None, reason="the native extension is not built here")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 16, 35])
@pytest.mark.parametrize("other", [0, 64, 448, 512, 576, 8192, 9024, 40000 // 64 * 64])
def test_special_instructions_and_plain_c_agree_with_the_pure_form(count: int, other: int) -> None:
    assert native is not None
    rng = random.Random(count)
    data, salt, beside = rng.randbytes(512 * count), rng.randbytes(32), rng.randbytes(other)
    want = bytearray(32 * count)
    pure_block_hashes_into(data, want, Salt(salt))
    ends = []
    for hashes, streams, compress in [
        (native.block_hashes, native.block_hashes_and_streams, native.compress),
        (native.plain_block_hashes, native.plain_block_hashes_and_streams, native.plain_compress),
    ]:
        alone, together = bytearray(32 * count), bytearray(32 * count)
        first, second = bytearray(START), bytearray(START)
        hashes(data, salt, alone)
        streams(data, salt, together, first, beside, second)
        assert alone == together == want
        each = [bytearray(START), bytearray(START)]
        compress(data, each[0])
        compress(beside, each[1])
        assert [first, second] == each
        ends.append(each)
    assert ends[0] == ends[1]


@pytest.mark.skipif(native is None, reason="the native extension is not built here")
@pytest.mark.parametrize("seed", range(20))
def test_a_patient_digest_is_that_of_all_it_was_given(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [0, 1, 63, 64, 65, 511, 512, 5000, 70_000]
    patient, hasher, given, tar = DeferredDigest(patience=100_000), LeafHasher(), b"", b""
    leaves = bytearray()
    for _ in range(60):
        if rng.random() < 0.5:
            given += (block := rng.randbytes(rng.choice(sizes)))
            patient.update(block)
        else:
            tar += (piece := rng.randbytes(rng.choice(sizes)))
            leaves += hasher.update(piece, patient)
    leaves += hasher.finish()
    assert leaves == reference(tar.ljust(-(-len(tar) // 512) * 512, b"\0"), bytes(32))
    assert hasher.hexdigest() == hashlib.sha256(tar).hexdigest()
    assert patient.hexdigest() == hashlib.sha256(given).hexdigest()
    assert patient.hexdigest() == hashlib.sha256(given).hexdigest()


@pytest.mark.skipif(native is None, reason="the native extension is not built here")
@pytest.mark.parametrize(
    ("data", "salt", "out", "state", "other", "other_state"),
    [
        (511, 32, 32, 32, 0, 32),
        (512, 31, 32, 32, 0, 32),
        (512, 32, 31, 32, 0, 32),
        (1024, 32, 63, 32, 0, 32),
        (512, 32, 32, 31, 0, 32),
        (512, 32, 32, 32, 63, 32),
        (512, 32, 32, 32, 64, 33),
    ],
)
def test_wrong_lengths_are_refused_by_the_extension(
    data: int, salt: int, out: int, state: int, other: int, other_state: int
) -> None:
    assert native is not None
    with pytest.raises(ValueError, match="length"):
        native.block_hashes_and_streams(
            *(bytes(data), bytes(salt), bytearray(out), bytearray(state)),
            *(bytes(other), bytearray(other_state)),
        )
    with pytest.raises(ValueError, match="length"):
        native.compress(bytes(63), bytearray(32))


@pytest.mark.usefixtures("form")
def test_half_blocks_and_small_outputs_are_refused() -> None:
    for data, room in [(100, 32), (1024, 32)]:
        with pytest.raises(ValueError, match="whole blocks"):
            blocks.block_hashes_into(bytes(data), bytearray(room))
