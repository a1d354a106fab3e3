"""CRC-32C of the superblock and xxHash32 of xattr names (the name filter), both in few bytes."""

from __future__ import annotations

from typing import Final

from workers.formats.erofs.ondisk import SuperBlock


def _table() -> list[int]:
    rows: list[int] = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 if crc & 1 else crc >> 1
        rows.append(crc)
    return rows


_CRC32C: Final = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C, reflected, from 0xFFFFFFFF and without final inversion, as EROFS keeps it."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc


def superblock_checksum(block: bytes) -> int:
    """Checksum of a superblock and the rest of its ``block``; the field itself counts as zero."""
    start = SuperBlock.CHECKSUM.offset
    end = start + SuperBlock.CHECKSUM.size
    return crc32c(block[:start] + bytes(end - start) + block[end:])


_MASK: Final = 0xFFFF_FFFF
_P1: Final = 2654435761
_P2: Final = 2246822519
_P3: Final = 3266489917
_P4: Final = 668265263
_P5: Final = 374761393


def _rotate(value: int, bits: int) -> int:
    value &= _MASK
    return (value << bits | value >> (32 - bits)) & _MASK


def xxh32(data: bytes, seed: int) -> int:
    """xxHash32 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md)."""
    size = len(data)
    at = 0
    if size >= 16:
        lanes = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed, (seed - _P1) & _MASK]
        while at + 16 <= size:
            for lane in range(4):
                word = int.from_bytes(data[at : at + 4], "little")
                lanes[lane] = _rotate(lanes[lane] + word * _P2, 13) * _P1 & _MASK
                at += 4
        acc = _rotate(lanes[0], 1) + _rotate(lanes[1], 7)
        acc += _rotate(lanes[2], 12) + _rotate(lanes[3], 18)
    else:
        acc = seed + _P5
    acc = (acc + size) & _MASK
    while at + 4 <= size:
        acc = _rotate(acc + int.from_bytes(data[at : at + 4], "little") * _P3, 17) * _P4 & _MASK
        at += 4
    while at < size:
        acc = _rotate(acc + data[at] * _P5, 11) * _P1 & _MASK
        at += 1
    acc = (acc ^ acc >> 15) * _P2 & _MASK
    acc = (acc ^ acc >> 13) * _P3 & _MASK
    return acc ^ acc >> 16
