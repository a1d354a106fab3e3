"""Numbers as strtoll(3) and sscanf(3) read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.formats.tarindex.numbers import (
    UNPARSABLE,
    number,
    octal,
    plain_checksum,
    plain_octal8,
    plain_octal12,
    scan_decimal,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"000644 \0", 0o644),
        (b"    644 ", 0o644),
        (b"644\0junk", 0o644),
        (b"77777777", 0o77777777),
        (b"     -1\0", -1),
        (b"+17\0\0\0\0\0", 0o17),
        (b"       \0", 0),
        (b" junk   ", 0),
        (b"\t\n17 x\0\0", 0o17),
        (b"\0" * 8, UNPARSABLE),
        (b"0000648\0", UNPARSABLE),
        (b"rw-r--r-", UNPARSABLE),
        (b"\t      \0", UNPARSABLE),
        (b"-\0\0\0\0\0\0\0", UNPARSABLE),
    ],
)
def test_octal(field: bytes, value: int) -> None:
    assert octal(field) == value


def test_base_256() -> None:
    assert number(b"\x80" + (2**40).to_bytes(11, "big"), True) == 2**40
    assert number(b"\xff" * 12, True) == -1
    assert number(b"\xff" * 12, False) == UNPARSABLE
    # Seven bytes cannot hold a sign in 64 bits, and eleven wrap around.
    assert number(b"\xff" * 8, True) == 2**56 - 1
    assert number(b"\x80" + b"\xff" * 11, True) == -1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"12 path", (12, 3)),
        (b"  -7", (-7, 4)),
        (b"+7\n\n8", (7, 4)),
        (b"007x", (7, 3)),
        (b"9" * 40, (2**63 - 1, 40)),
        (b"-" + b"9" * 40, (-(2**63), 41)),
        (b"x", (0, -1)),
        (b"", (0, -1)),
        (b"- 1", (0, -1)),
        (b"0" * 30 + b"5", (5, 31)),
    ],
)
def test_scan_decimal(text: bytes, expected: tuple[int, int]) -> None:
    assert scan_decimal(text, 0) == expected


@given(st.binary(min_size=12, max_size=12) | st.from_regex(rb"[0-8 ]{11}[0-8 \0]", fullmatch=True))
def test_plain_fields_are_read_as_all_are(field: bytes) -> None:
    """What is read eight digits at once is what the general rule reads, or left to it."""
    block = b"\xff" * 5 + field
    assert plain_octal12(block, 5) in (-1, octal(field))
    assert plain_octal8(block, 5) in (-1, octal(field[:8]))
    assert plain_checksum(block, 5) in (-1, octal(field[:8]))


@pytest.mark.parametrize("digits", ["0" * 11, "7" * 11, "01234567012", "10000000000"])
@pytest.mark.parametrize("end", [b"\0", b" "])
def test_plain_fields_are_told(digits: str, end: bytes) -> None:
    """The common forms are among them: else nothing would be gained."""
    assert plain_octal12(digits.encode() + end, 0) == int(digits, 8)
    assert plain_octal8(digits[:7].encode() + end, 0) == int(digits[:7], 8)
    assert plain_checksum(digits[:6].encode() + b"\0 ", 0) == int(digits[:6], 8)


@pytest.mark.parametrize("at", range(11))
def test_a_digit_that_is_none_is_told_at_every_place(at: int) -> None:
    for byte in (b"8", b"/", b" ", b"\0", b"\xb0", b"p"):
        field = b"0" * at + byte + b"0" * (10 - at) + b"\0"
        assert plain_octal12(field, 0) == -1
        if at < 7:
            assert plain_octal8(field[:7] + b"\0", 0) == -1
