"""Blob sources that can be opened again for each attempt of an upload."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class BytesSource:
    """Content held in memory; for manifests, configs, signatures and other small blobs."""

    data: bytes

    def open(self) -> BinaryIO:
        """Return a new reader at offset 0."""
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class FileSource:
    """``size`` bytes of a file from ``offset``; the whole rest of it when ``size`` is None."""

    path: Path
    offset: int = 0
    size: int | None = None

    def open(self) -> BinaryIO:
        """Return a new reader at the start of the range. Raises ``OSError``."""
        file = self.path.open("rb")
        if self.size is None and not self.offset:
            return file
        end = self.path.stat().st_size if self.size is None else self.offset + self.size
        return io.BufferedReader(_Window(file, self.offset, end))


class _Window(io.RawIOBase):
    """A seekable read-only view of a part of a file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        super().__init__()
        self._file, self._start, self._end = file, start, max(start, end)
        file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {
            io.SEEK_SET: self._start,
            io.SEEK_CUR: self._file.tell(),
            io.SEEK_END: self._end,
        }[whence]
        return self._file.seek(max(self._start, base + offset)) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = max(0, self._end - self._file.tell())
        data = self._file.read(min(len(buffer), left))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
