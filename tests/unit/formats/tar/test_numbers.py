"""Numbers as strtoll(3) and sscanf(3) read them."""

from __future__ import annotations

import pytest

from workers.formats.tar.numbers import UNPARSABLE, number, octal, scan_decimal, signed32, signed64


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


def test_wrapping() -> None:
    assert signed64(2**63) == -(2**63)
    assert signed64(-(2**63) - 1) == 2**63 - 1
    assert signed32(2**31) == -(2**31)
