"""The audit log of signatures: JSON lines, only ever appended, each naming its forerunner's hash.

A line that was changed or removed breaks the chain from there on; ``broken_at`` finds it. Cutting
off the newest lines shows only against a copy, so ship the log elsewhere (docs/keys.md).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from app.errors import SignerUnavailable
from app.observability import logging
from workers.signing.certificates import utc_now

_log = logging.get_logger(__name__)

_GENESIS = "0" * 64
#: Longest line we write is far below; the last line is looked for in this tail.
_TAIL = 64 << 10


class AuditLog:
    """One file that all processes of a host append to, under a file lock, with fsync."""

    def __init__(self, path: Path, now: Callable[[], datetime] = utc_now) -> None:
        """``path`` is made with its folder when absent, readable by its owner only."""
        self._path = path
        self._now = now

    def append(self, entry: Mapping[str, object]) -> None:
        """Write one entry durably. Raises ``SignerUnavailable``: unlogged, nothing is signed."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "rb+", buffering=0) as log:
                fcntl.flock(log, fcntl.LOCK_EX)
                line = {
                    "time": self._now().isoformat(timespec="milliseconds"),
                    **entry,
                    "previous": _last_hash(log.fileno()),
                }
                log.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
                os.fsync(log.fileno())
            # The copy: log lines are shipped off the host, the file may go with its pod.
            _log.info("signature.audited", entry=line)
        except OSError as error:
            raise SignerUnavailable(f"cannot write the audit log {self._path}: {error}") from None


def broken_at(path: Path) -> int | None:
    """Return the number (from 1) of the first line that does not follow the one before it."""
    previous = _GENESIS
    with path.open("rb") as log:
        for number, line in enumerate(log, start=1):
            try:
                claimed = json.loads(line)["previous"]
            except (ValueError, KeyError, TypeError):
                return number
            if claimed != previous:
                return number
            previous = hashlib.sha256(line).hexdigest()
    return None


def _last_hash(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, min(size, _TAIL), max(0, size - _TAIL))
    if not tail:
        return _GENESIS
    if not tail.endswith(b"\n"):
        # A torn line after a crash: end it, so that it stays visible as the break it is.
        os.write(descriptor, b"\n")
        tail += b"\n"
    start = tail.rfind(b"\n", 0, len(tail) - 1) + 1
    return hashlib.sha256(tail[start:]).hexdigest()
