"""Reads the live values of a bbolt database without its lock (bbolt ``internal/common/page.go``).

containerd holds its databases locked for as long as it runs. A bbolt writer leaves the pages of the
last committed transaction alone until its own is committed, so a walk from the root is whole when
the transaction's number is the same before and after.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

_MAGIC = 0xED0CDAED
#: Page: id, flags, count, overflow. Meta: magic, version, page size, flags, root, sequence,
#: freelist, high-water page, transaction.
_PAGE = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQ")
_BRANCH_ELEMENT = struct.Struct("<IIQ")
_LEAF_ELEMENT = struct.Struct("<IIII")
_BUCKET = struct.Struct("<QQ")
_BRANCH, _LEAF, _IS_BUCKET = 0x01, 0x02, 0x01
_MAX_PAGE_BYTES = 256 << 20


class Changed(Exception):
    """The database was written to while it was read; read again."""


class NotBolt(Exception):
    """The file does not have the structure of a bbolt database."""


def values(path: Path) -> list[bytes]:
    """Return every value in every bucket. Raises ``Changed``, ``NotBolt`` and ``OSError``."""
    with path.open("rb") as file:
        descriptor = file.fileno()
        before = _meta(descriptor)
        try:
            found = list(_Walk(descriptor, before[0]).bucket(before[1]))
        except (NotBolt, struct.error, RecursionError):
            if _meta(descriptor) != before:
                raise Changed from None
            raise NotBolt(f"{path} has pages that cannot be read") from None
        if _meta(descriptor) != before:
            raise Changed
        return found


def _meta(descriptor: int) -> tuple[int, int, int]:
    """Return page size, root page and number of the last transaction."""
    first = _meta_at(descriptor, 0)
    size = first[0] if first else os.sysconf("SC_PAGE_SIZE")
    metas = [meta for meta in (first, _meta_at(descriptor, size)) if meta]
    if not metas:
        raise NotBolt("no meta page")
    return max(metas, key=lambda meta: meta[2])


def _meta_at(descriptor: int, offset: int) -> tuple[int, int, int] | None:
    data = os.pread(descriptor, _META.size + 8, offset + _PAGE.size)
    if len(data) < _META.size + 8:
        return None
    magic, _, size, _, root, _, _, _, transaction = _META.unpack_from(data)
    checksum = int.from_bytes(data[_META.size :], "little")
    # A meta page that is being written does not have its checksum yet.
    return (size, root, transaction) if magic == _MAGIC and _fnv(data[:-8]) == checksum else None


def _fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFF_FFFF_FFFF_FFFF
    return value


class _Walk:
    def __init__(self, descriptor: int, page_size: int) -> None:
        self._descriptor = descriptor
        self._size = page_size
        self._end = os.fstat(descriptor).st_size
        self._seen: set[int] = set()

    def bucket(self, number: int) -> Iterator[bytes]:
        """Yield all values below a page, those of buckets in it included."""
        if number in self._seen:
            raise NotBolt("a page refers to itself")
        self._seen.add(number)
        yield from self._page(self._read(number))

    def _read(self, number: int) -> bytes:
        offset = number * self._size
        if offset >= self._end:
            raise NotBolt("a page lies outside the file")
        head = os.pread(self._descriptor, _PAGE.size, offset)
        length = (_PAGE.unpack(head)[3] + 1) * self._size
        if length > _MAX_PAGE_BYTES:
            raise NotBolt("a page is absurdly large")
        return os.pread(self._descriptor, length, offset)

    def _page(self, page: bytes) -> Iterator[bytes]:
        _, flags, count, _ = _PAGE.unpack_from(page)
        starts = range(_PAGE.size, _PAGE.size + 16 * count, 16)
        if flags & _BRANCH:
            for start in starts:
                yield from self.bucket(_BRANCH_ELEMENT.unpack_from(page, start)[2])
        elif flags & _LEAF:
            for start in starts:
                yield from self._element(page, start)
        else:
            raise NotBolt("a page in the tree is neither branch nor leaf")

    def _element(self, page: bytes, start: int) -> Iterator[bytes]:
        flags, position, key_size, value_size = _LEAF_ELEMENT.unpack_from(page, start)
        at = start + position + key_size
        value = page[at : at + value_size]
        if len(value) != value_size:
            raise NotBolt("a value lies outside its page")
        if not flags & _IS_BUCKET:
            yield value
            return
        root, _ = _BUCKET.unpack_from(value)
        if root:
            yield from self.bucket(root)
        else:
            yield from self._page(value[_BUCKET.size :])
