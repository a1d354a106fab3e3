import gzip
import random
import struct
import zlib
from collections.abc import Iterator

import pytest
import zstandard

from app.errors import SourceInvalid
from workers.layers.decompression import DecompressionLimits, decompress, detect

LIMITS = DecompressionLimits(max_bytes=1 << 40, max_ratio=1100.0)
RNG = random.Random(1)
DATA = b"".join(RNG.randbytes(1000) * RNG.randrange(1, 9) for _ in range(600))


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def zs(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def skippable(size: int) -> bytes:
    return struct.pack("<II", 0x184D2A53, size) + bytes(size)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def run(data: bytes, limits: DecompressionLimits = LIMITS, size: int = 300_000) -> bytes:
    return b"".join(decompress(cut(data, size), "auto", limits))


def refused(data: bytes, limits: DecompressionLimits = LIMITS) -> str:
    with pytest.raises(SourceInvalid) as caught:
        run(data, limits)
    return str(caught.value.details["reason"])


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize("pack", [gz, zs])
def test_members_and_frames_in_any_chunking_are_one_stream(pack: object, size: int) -> None:
    assert callable(pack)
    small = DATA[:20_000] if size < 100 else DATA
    stream = pack(small) + pack(b"") + pack(b"abc") + pack(small)
    assert run(stream, size=size) == small + b"abc" + small


@pytest.mark.parametrize("extra", [skippable(0), skippable(5), skippable(100_000)])
def test_skippable_frames_hold_nothing(extra: bytes) -> None:
    assert run(extra + zs(DATA) + extra + zs(b"x") + extra) == DATA + b"x"


def test_plain_streams_pass_unchanged_whatever_was_declared() -> None:
    assert run(DATA) == DATA
    assert b"".join(decompress(cut(gz(DATA), 1000), "", LIMITS)) == gz(DATA)
    assert run(b"") == b""
    assert run(b"\x1f") == b"\x1f"


def test_optional_gzip_header_fields_are_read() -> None:
    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = raw.compress(DATA) + raw.flush()
    header = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x05\x00extra" + b"name\0" + b"comment\0"
    member = header + body + struct.pack("<II", zlib.crc32(DATA), len(DATA))
    assert run(member + member, size=1000) == DATA + DATA


@pytest.mark.parametrize(
    "tail", [b"\0", b"\0" * 512, b"garbage", b"\x1f", b"\x1f\x8b", b"\x1f\x8c" * 9]
)
def test_bytes_after_the_last_member_are_refused(tail: bytes) -> None:
    assert refused(gz(DATA) + tail) in {"gzip-trailing-garbage", "gzip-truncated"}


@pytest.mark.parametrize("tail", [b"\0" * 512, b"garbage", zs(b"x")[:4] + b"\xff" * 20])
def test_bytes_after_the_last_frame_are_refused(tail: bytes) -> None:
    assert refused(zs(DATA) + tail) in {"zstd-trailing-garbage", "zstd-corrupt", "zstd-window"}


@pytest.mark.parametrize("pack", [gz, zs])
def test_every_truncation_is_refused(pack: object) -> None:
    assert callable(pack)
    stream = pack(DATA[:3000])
    for end in range(5, len(stream), 13):
        assert refused(stream[:end]).endswith("-truncated")
        assert refused(stream + stream[:end]).endswith("-truncated")
    assert refused(stream[:-1]).endswith("-truncated")
    assert refused(stream + stream[:2]).endswith("-truncated")


@pytest.mark.parametrize("pack", [gz, zs])
def test_every_damage_is_refused_or_harmless(pack: object) -> None:
    assert callable(pack)
    rng = random.Random(2)
    stream = pack(DATA[:3000])
    for _ in range(300):
        damaged = bytearray(stream)
        damaged[rng.randrange(10, len(stream))] ^= 1 << rng.randrange(8)
        try:
            whole = run(bytes(damaged)) == DATA[:3000]
        except SourceInvalid as error:
            whole = str(error.details["reason"]).startswith(("gzip-", "zstd-"))
        assert whole


def test_a_checksum_that_does_not_fit_is_refused() -> None:
    for at in (-8, -1):
        damaged = bytearray(gz(DATA))
        damaged[at] ^= 1
        assert refused(bytes(damaged)) == "gzip-corrupt"
    damaged = bytearray(zs(DATA))
    damaged[-1] ^= 1
    assert refused(bytes(damaged)) == "zstd-corrupt"


@pytest.mark.parametrize("pack", [gz, zs])
def test_size_and_ratio_are_bounded(pack: object) -> None:
    assert callable(pack)
    assert refused(pack(bytes(5_000_000)), DecompressionLimits(4_999_999, 1e9)) == "too-large"
    assert run(pack(bytes(5_000_000)), DecompressionLimits(5_000_000, 2.0)) == bytes(5_000_000)
    assert refused(pack(bytes(80 << 20)), DecompressionLimits(1 << 40, 100.0)) == "ratio-bomb"


@pytest.mark.parametrize("unit", [gz(b""), zs(b""), skippable(0)])
def test_endless_empty_members_are_refused(unit: bytes) -> None:
    assert refused(zs(b"x") + unit * 2000 if unit != gz(b"") else unit * 2000) == "endless-members"


def test_many_small_members_are_normal() -> None:
    assert run(gz(b"x") * 5000 + gz(b"") * 900) == b"x" * 5000


def test_a_window_over_the_limit_is_refused() -> None:
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=28)
    ).compressobj()
    stream = compressor.compress(DATA) + compressor.flush()
    assert refused(stream) == "zstd-window"
    assert refused(b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little")) == "zstd-window"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (gz(b""), "gzip"),
        (zs(b""), "zstd"),
        (skippable(3), "zstd"),
        (b"", ""),
        (b"\x1f\x8b", ""),
        (b"BZh91AY", ""),
        (b"etc/\0\0\0", ""),
    ],
)
def test_compression_is_told_from_the_first_bytes(head: bytes, kind: str) -> None:
    assert detect(head) == kind
