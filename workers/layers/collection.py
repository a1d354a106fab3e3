"""Fewer garbage collections while layers are built.

A tree of a hundred thousand inodes is no garbage, but each collection walks it anew: a sixth of the
time of a layer of tiny files. The index builder undoes its circles itself.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Container objects made between two collections of the youngest generation.
_RARE = 1_000_000

_lock = threading.Lock()
_builds: list[tuple[int, int, int]] = []


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Collect rarely until the last of all overlapping contexts of the process has ended."""
    with _lock:
        before = _builds[0] if _builds else gc.get_threshold()
        _builds.append(before)
        gc.set_threshold(max(before[0], _RARE) if before[0] else 0, before[1], before[2])
    try:
        yield
    finally:
        with _lock:
            _builds.pop()
            if not _builds:
                gc.set_threshold(*before)
