"""CRC-32C and xxHash32 against published values."""

from __future__ import annotations

import pytest

from workers.formats.erofs.checksums import crc32c, xxh32


def test_crc32c() -> None:
    # RFC 3720 section B.4 gives values after inversion, which EROFS leaves out.
    assert crc32c(bytes(32)) ^ 0xFFFF_FFFF == 0x8A9136AA
    assert crc32c(b"\xff" * 32) ^ 0xFFFF_FFFF == 0x62A8AB43
    assert crc32c(b"123456789") ^ 0xFFFF_FFFF == 0xE3069283


@pytest.mark.parametrize(
    ("data", "seed", "value"),
    [
        (b"", 0, 0x02CC5D05),
        (b"a", 0, 0x550D7456),
        (b"abc", 0, 0x32D153FF),
        (b"Nobody inspects the spammish repetition", 0, 0xE2293B2F),
    ],
)
def test_xxh32(data: bytes, seed: int, value: int) -> None:
    assert xxh32(data, seed) == value
