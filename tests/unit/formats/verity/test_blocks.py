import hashlib
import random

import pytest

from workers._native import blocks as native
from workers.formats.verity import blocks
from workers.formats.verity.blocks import LeafHasher, block_hashes, pure_block_hashes_into
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
@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 511, 512, 513, 5120, 9999])
def test_any_chunking_gives_the_same_leaves_and_digest(
    size: int, hashed: bool, salt: bytes
) -> None:
    rng = random.Random(size)
    data = rng.randbytes(size)
    hasher = LeafHasher(Salt(salt), hashed=hashed)
    leaves, at = bytearray(), 0
    while at < size:
        step = rng.choice([1, 100, 511, 512, 513, 2048])
        leaves += hasher.update(memoryview(data)[at : at + step])
        at += step
    leaves += hasher.finish()
    assert leaves == reference(data.ljust(-(-size // 512) * 512, b"\0"), salt)
    assert hasher.count == len(leaves) // 32
    if hashed:
        assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


def test_the_digest_of_an_unhashed_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="not hashed"):
        LeafHasher(hashed=False).hexdigest()


@pytest.mark.skipif(native is None, reason="the native extension is not built here")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 16, 35])
def test_special_instructions_and_plain_c_agree_with_the_pure_form(count: int) -> None:
    assert native is not None
    rng = random.Random(count)
    data, salt = rng.randbytes(512 * count), rng.randbytes(32)
    want = bytearray(32 * count)
    pure_block_hashes_into(data, want, Salt(salt))
    state = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")
    ends = []
    for hashes, both in [
        (native.block_hashes, native.block_hashes_and_stream),
        (native.plain_block_hashes, native.plain_block_hashes_and_stream),
    ]:
        alone, beside, stream = bytearray(32 * count), bytearray(32 * count), bytearray(state)
        hashes(data, salt, alone)
        both(data, salt, beside, stream)
        assert alone == beside == want
        ends.append(stream)
    stream = bytearray(state)
    native.compress(data, stream)
    assert ends == [stream, stream]


@pytest.mark.skipif(native is None, reason="the native extension is not built here")
@pytest.mark.parametrize(
    ("data", "salt", "out", "state"),
    [
        (511, 32, 32, 32),
        (512, 31, 32, 32),
        (512, 32, 31, 32),
        (1024, 32, 63, 32),
        (512, 32, 32, 31),
    ],
)
def test_wrong_lengths_are_refused_by_the_extension(
    data: int, salt: int, out: int, state: int
) -> None:
    assert native is not None
    with pytest.raises(ValueError, match="length"):
        native.block_hashes_and_stream(bytes(data), bytes(salt), bytearray(out), bytearray(state))
    with pytest.raises(ValueError, match="length"):
        native.compress(bytes(63), bytearray(32))


@pytest.mark.usefixtures("form")
def test_half_blocks_and_small_outputs_are_refused() -> None:
    for data, room in [(100, 32), (1024, 32)]:
        with pytest.raises(ValueError, match="whole blocks"):
            blocks.block_hashes_into(bytes(data), bytearray(room))
