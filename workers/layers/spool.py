"""Scratch space for verity leaves: one directory and one quota for all processes of a host.

Every reservation is a directory with a ``lease`` file that its owner holds locked (flock) and that
says how many bytes it may use. A lock dies with its process, so whoever reserves next sees which
reservations are orphans of a crash and removes them. Reserving happens under a lock of its own.
A lease is not a lock of ``app.filelocks``: it is held beyond a block, and whoever finds it held
reads what it says.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import SpoolExhausted
from app.filelocks import held

_PREFIX = "build-"
#: A reservation that proves too small grows by this much, to keep the common lock rare.
_STEP = 64 << 20


class Spool:
    """A directory of scratch files that all processes together fill with ``max_bytes`` at most."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """``directory`` is made when it does not exist; its other content is left alone."""
        self.directory = directory
        self.max_bytes = max_bytes

    def reserve(self, size: int) -> Lease:
        """Reserve ``size`` bytes, removing orphans first; raises ``SpoolExhausted``."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._exclusive():
            self._check(size, held=0)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.directory))
            lock = os.open(folder / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(lock, b"%020d" % size, 0)
        return Lease(self, folder, lock, size)

    def reserved(self) -> int:
        """Bytes reserved now by all processes; removes orphans."""
        if not self.directory.is_dir():
            return 0
        with self._exclusive():
            return self._survey()[0]

    def _exclusive(self) -> AbstractContextManager[None]:
        return held(self.directory / ".lock")

    def _check(self, more: int, held: int) -> None:
        reserved, unwritten = self._survey()
        if reserved + more > self.max_bytes:
            raise SpoolExhausted(
                f"the spool needs {held + more} bytes for this layer, {reserved - held} of "
                f"{self.max_bytes} are in use",
                advice="wait for other builds, or raise VERILAYER_SPOOL_MAX_BYTES",
                needed=held + more,
                available=self.max_bytes - reserved + held,
            )
        free = shutil.disk_usage(self.directory).free - unwritten
        if more > free:
            raise SpoolExhausted(
                f"the spool needs {more} more bytes, {self.directory} has {max(free, 0)} free",
                advice="free disk space, or point VERILAYER_SPOOL_DIR elsewhere",
                needed=more,
                available=max(free, 0),
            )

    def _survey(self) -> tuple[int, int]:
        """Return (bytes reserved, those of them not yet written); remove orphans."""
        reserved = unwritten = 0
        for folder in self.directory.glob(_PREFIX + "*"):
            size = _lease_size(folder)
            if size is None:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            reserved += size
            unwritten += max(size - _written(folder), 0)
        return reserved, unwritten


class Lease:
    """Reserved scratch space with its files; leaving the context deletes them."""

    def __init__(self, spool: Spool, folder: Path, lock: int, size: int) -> None:
        """Made by ``Spool.reserve`` only."""
        self._spool = spool
        self._folder = folder
        self._lock = lock
        self.size = size
        self.used = 0
        self._files: list[SpoolFile] = []

    def create(self, name: str) -> SpoolFile:
        """Create an empty file within the reservation; the lease closes and deletes it."""
        file = SpoolFile(self, self._folder / name)
        self._files.append(file)
        return file

    def use(self, more: int) -> None:
        """Account for ``more`` bytes to be written, growing the reservation when it is too small.

        Raises ``SpoolExhausted``.
        """
        if self.used + more > self.size:
            self.grow(max(self.used + more, self.size + _STEP))
        self.used += more

    def grow(self, size: int) -> None:
        """Raise the reservation to ``size`` bytes; raises ``SpoolExhausted``."""
        if size <= self.size:
            return
        with self._spool._exclusive():
            self._spool._check(size - self.size, held=self.size)
            os.pwrite(self._lock, b"%020d" % size, 0)
        self.size = size

    def close(self) -> None:
        """Delete the files and give the space back; harmless twice."""
        if self._lock < 0:
            return
        for file in self._files:
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SpoolFile:
    """A scratch file that grows at its end and is read anywhere, from any thread."""

    def __init__(self, lease: Lease, path: Path) -> None:
        """Made by ``Lease.create`` only."""
        self.path = path
        self._lease = lease
        self.size = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def append(self, data: bytes | bytearray | memoryview) -> int:
        """Write ``data`` at the end and return its offset; raises ``SpoolExhausted``."""
        view = memoryview(data)
        start = self.size
        self._lease.use(len(view))
        try:
            while view:
                written = os.pwrite(self._fd, view, self.size)
                self.size += written
                view = view[written:]
        except OSError as error:
            raise SpoolExhausted(
                f"cannot write scratch file: {error.strerror}",
                advice="free disk space, or point VERILAYER_SPOOL_DIR elsewhere",
            ) from error
        return start

    def read_at(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes at ``offset``."""
        return os.pread(self._fd, size, offset)

    def close(self) -> None:
        """Close; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _lease_size(folder: Path) -> int | None:
    """Bytes that a living process holds in ``folder``; None for an orphan."""
    try:
        lock = os.open(folder / "lease", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(lock, 20, 0) or b"0")
    finally:
        os.close(lock)
    return None


def _written(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with suppress(OSError):
            total += path.stat().st_blocks * 512
    return total
