"""Removing entries that no snapshot needs, so that a pull that runs meanwhile is not broken.

An entry is first renamed: from then on pulls miss it and download as without a cache. A pull that
had found it just before records it within moments, so the snapshots are read again after a pause;
an entry that is needed by then gets its name back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.oci.digest import DiffID
from workers.node.cache import ContentCache
from workers.node.references import referenced

#: Seconds between taking an entry's name away and looking for late references.
SETTLE = 2.0
#: Entries younger than this are kept: they were fetched for a pull that is still to come.
MIN_AGE = 3600.0


@dataclass(frozen=True, slots=True)
class PruneReport:
    """Entries by what became of them, and bytes freed."""

    removed: tuple[DiffID, ...]
    in_use: tuple[DiffID, ...]
    young: tuple[DiffID, ...]
    freed: int

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "removed": list(self.removed),
            "in_use": list(self.in_use),
            "young": list(self.young),
            "freed": self.freed,
        }


def prune(
    cache: ContentCache,
    snapshotters: Sequence[Path],
    *,
    min_age: float = MIN_AGE,
    settle: float = SETTLE,
    dry_run: bool = False,
    clock: Callable[[], float] = time.time,
) -> PruneReport:
    """Remove what no snapshot needs and is older than ``min_age`` seconds.

    Raises ``ConfigurationError`` and ``Unavailable``; entries then have their names back.
    """
    restore_interrupted(cache)
    used = referenced(snapshotters)
    in_use, young, doomed = [], [], []
    now = clock()
    for diff_id in cache.entries():
        if diff_id in used:
            in_use.append(diff_id)
        elif now - cache.blob(diff_id).stat().st_mtime < min_age:
            young.append(diff_id)
        else:
            doomed.append(diff_id)
    if dry_run or not doomed:
        freed = sum(cache.blob(each).stat().st_size for each in doomed)
        return PruneReport(tuple(doomed), tuple(in_use), tuple(young), freed)
    freed, removed = 0, []
    for diff_id in doomed:
        cache.blob(diff_id).rename(_aside(cache, diff_id))
    try:
        time.sleep(settle)
        late = referenced(snapshotters)
        for diff_id in doomed:
            if diff_id in late:
                in_use.append(diff_id)
                continue
            freed += _aside(cache, diff_id).stat().st_size
            _aside(cache, diff_id).unlink()
            cache.remove(diff_id)
            removed.append(diff_id)
    finally:
        restore_interrupted(cache)
    return PruneReport(tuple(removed), tuple(in_use), tuple(young), freed)


def restore_interrupted(cache: ContentCache) -> None:
    """Give entries their names back that a prune put aside and did not remove."""
    for aside in cache.root.glob("sha256/??/*.erofs.pruning"):
        blob = aside.with_suffix("")
        if blob.exists():
            aside.unlink()  # fetched again meanwhile
        else:
            aside.rename(blob)


def _aside(cache: ContentCache, diff_id: DiffID) -> Path:
    blob = cache.blob(diff_id)
    return blob.with_name(blob.name + ".pruning")
