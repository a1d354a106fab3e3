"""Configuration that changes while the service runs.

A file that cannot be used leaves the old configuration in force and says so, in the log and in
``problem``. Changes are seen by polling, which also works for the symbolic links that Kubernetes
swaps under mounted files; SIGHUP only makes it happen at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from app.errors import ConfigurationError

#: Seconds between looks at the file.
INTERVAL = 2.0

T = TypeVar("T")
log = structlog.get_logger(__name__)

_Stamp = tuple[int, int, int] | None


class Live(Generic[T]):
    """Holds what ``load`` made of the file; replaces it as a whole when the file changes.

    ``load`` does everything that can fail (reading, validating, opening secrets), so that a change
    is taken completely or not at all. The first load raises ``ConfigurationError``.
    """

    def __init__(self, path: Path, load: Callable[[Path], T]) -> None:
        self._path = path
        self._load = load
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._current = load(path)
        self._problem: str | None = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def current(self) -> T:
        """What is in force; hold on to it for the length of one request."""
        return self._current

    @property
    def problem(self) -> str | None:
        """Why the file on disk is not in force, or None when it is."""
        return self._problem

    def reload(self) -> bool:
        """Read the file now; False when it cannot be used and the old one stays."""
        with self._lock:
            self._stamp = self._look()
            try:
                self._current = self._load(self._path)
            except ConfigurationError as error:
                self._problem = str(error)
                log.error("config.rejected", file=str(self._path), problem=str(error))
                return False
            self._problem = None
            log.info("config.loaded", file=str(self._path))
            return True

    def poll(self) -> bool:
        """Reload if the file changed since it was last read; True when a new one is in force."""
        return self._look() != self._stamp and self.reload()

    def start(self) -> None:
        """Watch the file from a thread until ``stop``."""
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="config-watch", daemon=True)
        self._thread.start()

    def request_reload(self) -> None:
        """Ask the thread to reload now; safe to call from a signal's handler."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        while True:
            asked = self._wake.wait(INTERVAL)
            self._wake.clear()
            if self._stopping:
                return
            if asked:
                self.reload()
            else:
                self.poll()

    def _look(self) -> _Stamp:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_ino, status.st_size)
