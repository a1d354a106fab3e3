"""The word tricks against the plain way of doing the same, at every edge of a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.formats.words import (
    BitSet,
    ByteQueue,
    WordArray,
    byte_sum,
    octal_digits,
    shifted,
    signed32,
    signed64,
    unsigned,
)

_SIZES = st.sampled_from([1, 2, 4, 8])
_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 2**31, 2**31 - 1, -(2**31)])


def test_signed() -> None:
    assert signed64(2**63) == -(2**63)
    assert signed64(-(2**63) - 1) == 2**63 - 1
    assert signed32(2**31) == -(2**31)


def test_a_literal_is_shifted_beyond_32_bits() -> None:
    assert [shifted(1, bits) for bits in (31, 32, 62)] == [1 << 31, 1 << 32, 1 << 62]


@given(st.binary(min_size=8, max_size=24), _SIZES, st.data())
def test_unsigned(data: bytes, size: int, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - size))
    assert unsigned(data, at, size) == int.from_bytes(data[at : at + size], "little")
    with pytest.raises(IndexError):
        unsigned(data, len(data) - size + 1, size)


@given(st.binary(min_size=8, max_size=20) | st.from_regex(rb"[0-8]{8,12}", fullmatch=True))
def test_octal_digits(data: bytes) -> None:
    for at in range(len(data) - 7):
        for count in range(1, 9):
            digits = data[at : at + count]
            value = int(digits, 8) if all(c in b"01234567" for c in digits) else -1
            assert octal_digits(data, at, count) == value


@given(st.binary(max_size=512), st.integers(0, 9))
def test_byte_sum(data: bytes, at: int) -> None:
    for part in (data, b"\xff" * len(data)):
        assert byte_sum(part, at, max(0, len(part) - at)) == sum(part[at:])


@given(st.lists(st.tuples(st.integers(0, 63), _SIZES, _NUMBERS), max_size=30))
def test_word_array_is_little_endian(writes: list[tuple[int, int, int]]) -> None:
    image, expected = WordArray(64), bytearray(64)
    for place, size, value in writes:
        at = place // size * size
        image.put(at, size, value)
        expected[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    assert image.data() == expected
    assert image.piece(8, 20) == expected[8:28]


@given(st.integers(0, 8), st.binary(max_size=32))
def test_word_array_takes_bytes(word: int, data: bytes) -> None:
    image = WordArray(64)
    image.put_bytes(0, b"\xff" * 64)
    image.put_bytes(4 * word, data)
    rest = 64 - 4 * word - len(data)
    assert image.data() == b"\xff" * 4 * word + data + b"\xff" * rest


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_word_array_ends(size: int) -> None:
    with pytest.raises(IndexError):
        WordArray(64).put(64, size, 1)
    with pytest.raises(IndexError):
        WordArray(64).put_bytes(60, bytes(5))


@given(st.lists(st.tuples(_SIZES, _NUMBERS) | st.binary(max_size=12), max_size=20))
def test_byte_queue(parts: list[tuple[int, int] | bytes]) -> None:
    queue, expected = ByteQueue(), b""
    for part in parts:
        if isinstance(part, bytes):
            queue.write(part)
            expected += part
        else:
            size, value = part
            queue.append(size, value)
            expected += (value % (1 << 8 * size)).to_bytes(size, "little")
    assert queue.getvalue() == expected


@given(st.sets(st.integers(0, 255)), st.integers(0, 255), st.integers(0, 255))
def test_bit_set(members: set[int], lowest: int, number: int) -> None:
    bits = BitSet(256)
    for member in [*range(256), *(set(range(256)) - members)]:  # all in, then some out
        bits.flip(member)
    between = [member for member in members if lowest <= member <= number]
    assert bits.highest(lowest, number) == max(between, default=-1)
