"""Byte ranges of stores: a tree is pieced together from them without being copied.

A store is anything that reads at an offset: bytes held here, or a scratch file given by the caller.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

Buffer = bytes | bytearray | memoryview


class ByteStore(Protocol):
    """Grows at its end and is read anywhere."""

    def append(self, data: Buffer) -> int:
        """Add ``data`` at the end; return the offset where it lies."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes at ``offset``."""
        ...


class HeldBytes:
    """A store in memory."""

    def __init__(self, data: bytes = b"") -> None:
        """Start with ``data``."""
        self._data = bytearray(data)

    def append(self, data: Buffer) -> int:
        """Add ``data`` at the end; return the offset where it lies."""
        offset = len(self._data)
        self._data += data
        return offset

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes at ``offset``."""
        return bytes(memoryview(self._data)[offset : offset + size])


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes of ``store`` from ``offset`` on."""

    store: ByteStore
    offset: int
    length: int

    def read(self, start: int, size: int) -> bytes:
        """Read up to ``size`` bytes from ``start`` within the extent."""
        size = min(size, self.length - start)
        data = self.store.read_at(self.offset + start, size)
        if len(data) != size:
            raise OSError("a scratch file is shorter than what was written to it")
        return data


def held(data: bytes) -> Extent:
    """Return an extent of bytes in memory."""
    return Extent(HeldBytes(data), 0, len(data))


def total(extents: Iterable[Extent]) -> int:
    """Sum of the lengths, in bytes."""
    return sum(extent.length for extent in extents)


def skipped(extents: Sequence[Extent], start: int) -> tuple[Extent, ...]:
    """Return the extents without their first ``start`` bytes."""
    rest = []
    for extent in extents:
        cut = min(start, extent.length)
        start -= cut
        if cut < extent.length:
            rest.append(Extent(extent.store, extent.offset + cut, extent.length - cut))
    return tuple(rest)


def chunks(extents: Iterable[Extent], size: int) -> Iterator[bytes]:
    """Yield all bytes in pieces of exactly ``size``; the last may be shorter."""
    pending: list[bytes] = []
    have = 0
    for extent in extents:
        start = 0
        while start < extent.length:
            piece = extent.read(start, size - have)
            start += len(piece)
            have += len(piece)
            pending.append(piece)
            if have == size:
                yield pending[0] if len(pending) == 1 else b"".join(pending)
                pending, have = [], 0
    if pending:
        yield b"".join(pending)


class ExtentReader(io.RawIOBase):
    """A seekable reader over extents, with a position of its own."""

    def __init__(self, extents: Sequence[Extent]) -> None:
        """Start at offset 0."""
        super().__init__()
        self._extents = extents
        self._size = total(extents)
        self._position = 0

    def buffered(self) -> BinaryIO:
        """Return a buffered reader over this one, which it closes."""
        return cast(BinaryIO, io.BufferedReader(self, 1 << 16))

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position as ``io.IOBase.seek`` does."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        """Fill ``buffer`` as far as one extent reaches; 0 at the end."""
        start = self._position
        for extent in self._extents:
            if start < extent.length:
                piece = extent.read(start, len(buffer))
                buffer[: len(piece)] = piece
                self._position += len(piece)
                return len(piece)
            start -= extent.length
        return 0
