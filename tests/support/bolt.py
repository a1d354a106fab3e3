"""Writes small bbolt databases page by page, after bbolt's ``internal/common/page.go``."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

PAGE = 4096


def fnv(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def leaf(number: int, items: Sequence[tuple[bytes, bytes, bool]], *, inline: bool = False) -> bytes:
    """A leaf page of (key, value, value is a bucket)."""
    count = len(items)
    elements, data = b"", b""
    for at, (key, value, bucket) in enumerate(items):
        position = 16 * (count - at) + len(data)
        elements += struct.pack("<IIII", int(bucket), position, len(key), len(value))
        data += key + value
    body = elements + data
    pages = 1 if inline else -(-(16 + len(body)) // PAGE)
    page = struct.pack("<QHHI", number, 2, count, pages - 1) + body
    return page if inline else page.ljust(pages * PAGE, b"\0")


def branch(number: int, children: Sequence[tuple[bytes, int]]) -> bytes:
    """A branch page of (first key, page)."""
    count = len(children)
    elements, keys = b"", b""
    for at, (key, child) in enumerate(children):
        elements += struct.pack("<IIQ", 16 * (count - at) + len(keys), len(key), child)
        keys += key
    page = struct.pack("<QHHI", number, 1, count, 0) + elements + keys
    return page.ljust(PAGE, b"\0")


def meta(number: int, root: int, transaction: int) -> bytes:
    """A meta page."""
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, root, 0, 2, 100, transaction)
    page = struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", fnv(body))
    return page.ljust(PAGE, b"\0")


def bucket(root: int, inline: bytes = b"") -> bytes:
    """A bucket's value: its root page, or 0 and the page itself."""
    return struct.pack("<QQ", root, 0) + inline


def write_database(path: Path, pages: Sequence[bytes], root: int, transaction: int = 7) -> None:
    """Two metas (the second newer), an unused page 2, then ``pages`` from page 3 on."""
    metas = meta(0, 999, transaction - 1) + meta(1, root, transaction)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(metas + bytes(PAGE) + b"".join(pages))


def snapshots(path: Path, references: Sequence[bytes]) -> None:
    """A database as the snapshotter's: one label a snapshot."""
    items = [(b"snapshot%d" % at, value, False) for at, value in enumerate(references)]
    write_database(path, [leaf(3, items)], 3)
