"""Any bytes decompress to the same content or the same refusal, however they are cut."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import SourceInvalid
from workers.layers.decompression import DecompressionLimits, decompress

LIMITS = DecompressionLimits(max_bytes=1 << 24, max_ratio=1100.0)

contents = st.one_of(
    st.binary(max_size=300), st.integers(0, 200_000).map(bytes), st.just(b"abc" * 50_000)
)
members = contents.map(lambda data: gzip.compress(data, 1, mtime=0))
frames = st.builds(
    lambda data, checksum, sized: zstandard.ZstdCompressor(
        level=1, write_checksum=checksum, write_content_size=sized
    ).compress(data),
    contents,
    st.booleans(),
    st.booleans(),
)
skippable = st.binary(max_size=40).map(
    lambda data: struct.pack("<II", 0x184D2A50 + len(data) % 16, len(data)) + data
)
damage = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=3)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    if at < len(data):
        yield data[at:]


def outcome(data: bytes, sizes: list[int]) -> bytes | None:
    try:
        return b"".join(decompress(cut(data, sizes), "auto", LIMITS))
    except SourceInvalid:
        return None


def reference_gzip(data: bytes) -> bytes | None:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        st.lists(members, min_size=1, max_size=5),
        st.lists(st.one_of(frames, skippable), min_size=1, max_size=5),
    ),
    st.one_of(st.just(b""), st.binary(max_size=20)),
    damage,
    st.lists(st.integers(1, 3000), max_size=30),
)
def test_cuts_do_not_matter_and_nothing_else_is_raised(
    parts: list[bytes], tail: bytes, damaged: list[tuple[float, int]], sizes: list[int]
) -> None:
    stream = bytearray(b"".join(parts) + tail)
    for where, flip in damaged:
        stream[int(where * len(stream))] ^= flip
    assert outcome(bytes(stream), sizes) == outcome(bytes(stream), [])


@settings(deadline=None, max_examples=100)
@given(st.lists(members, min_size=1, max_size=6), st.lists(st.integers(1, 3000), max_size=30))
def test_gzip_members_are_what_another_reader_says(parts: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(parts)
    assert outcome(stream, sizes) == reference_gzip(stream)
    assert outcome(stream[:-1], sizes) is None
    assert outcome(stream + b"\0", sizes) is None


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.one_of(frames, skippable), min_size=1, max_size=6),
    st.lists(st.integers(1, 3000), max_size=30),
)
def test_zstd_frames_are_what_another_reader_says(parts: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(parts)
    reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    assert outcome(stream, sizes) == reader.read()
    assert outcome(stream[:-1], sizes) is None
    assert outcome(stream + b"\0\0\0\0", sizes) is None
