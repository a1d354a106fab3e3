"""What a cache holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.oci.digest import DiffID
from workers.node.cache import ContentCache, Record
from workers.node.references import DEFAULT_SNAPSHOTTER, referenced


@dataclass(frozen=True, slots=True)
class EntryStatus:
    """One entry; ``record`` is None when this tool did not make it."""

    diff_id: DiffID
    size: int
    record: Record | None
    sidecar: bool
    #: None: no snapshotter was found to ask.
    in_use: bool | None


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """All entries of a cache, in name order."""

    entries: tuple[EntryStatus, ...]

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "entries": [
                {
                    "diff_id": each.diff_id,
                    "size": each.size,
                    "sidecar": each.sidecar,
                    "in_use": each.in_use,
                    "record": None if each.record is None else each.record.model_dump(mode="json"),
                }
                for each in self.entries
            ],
            "bytes": sum(each.size for each in self.entries),
        }

    def to_text(self) -> str:
        """Return a line an entry and a sum."""
        lines = [_line(each) for each in self.entries]
        size = sum(each.size for each in self.entries) / 1e6
        return "\n".join([*lines, f"{len(self.entries)} entries, {size:.1f} MB"])


def read_status(root: Path, snapshotters: Sequence[Path] = ()) -> CacheStatus:
    """Read a cache; without ``snapshotters`` the default one is asked where it exists."""
    cache = ContentCache(root)
    if not snapshotters and (DEFAULT_SNAPSHOTTER / "metadata.db").is_file():
        snapshotters = (DEFAULT_SNAPSHOTTER,)
    used = referenced(snapshotters) if snapshotters else None
    return CacheStatus(
        tuple(
            EntryStatus(
                diff_id,
                cache.blob(diff_id).stat().st_size,
                cache.record(diff_id),
                cache.sidecar(diff_id).exists(),
                None if used is None else diff_id in used,
            )
            for diff_id in cache.entries()
        )
    )


def _line(entry: EntryStatus) -> str:
    use = {True: "in use", False: "unused", None: ""}[entry.in_use]
    record = entry.record
    if record is None:
        return f"{entry.diff_id}  {entry.size / 1e6:9.1f} MB  not made by verilayer  {use}"
    origin = f"signed by {record.signer}" if record.signer else "unsigned, rebuilt"
    verity = "dm-verity" if entry.sidecar else "no sidecar"
    return (
        f"{entry.diff_id}  {entry.size / 1e6:9.1f} MB  {record.layout}  {verity}  {origin}  {use}"
    ).rstrip()
