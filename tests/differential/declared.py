"""Which differences a warning accounts for: not every kind excuses everything."""

from __future__ import annotations

from typing import Final

from tests.differential.compare import Comparison, Difference
from workers.formats.tarindex.warning import is_lossy

#: Kinds that change these aspects alone; all others may change what entries there are.
_CHANGES: Final[dict[str, frozenset[str]]] = {
    "torn-header": frozenset({"refused"}),
    "torn-extension": frozenset({"refused"}),
    "zero-block": frozenset({"refused"}),
    "damaged-header": frozenset({"refused"}),
    "header-checksum": frozenset({"refused"}),
    "device-overflow": frozenset({"device", "refused"}),
    "undeclared-parent": frozenset({"mode", "owner"}),
    "whiteout-empty": frozenset({"refused"}),
    "whiteout-dots": frozenset({"refused"}),
    "whiteout-directory": frozenset({"refused"}),
    "whiteout-over-entry": frozenset({"refused"}),
    "xattr-name": frozenset({"xattrs", "refused", "unreadable"}),
    "xattr-value": frozenset({"xattrs", "refused", "unreadable"}),
    "xattr-area": frozenset({"xattrs", "unreadable"}),
    "xattr-duplicate": frozenset({"xattrs"}),
    "xattr-garbled": frozenset({"xattrs"}),
    "xattr-on-link": frozenset({"xattrs", "refused"}),
    "xattr-trusted": frozenset({"xattrs"}),
    "xattr-libarchive": frozenset({"xattrs"}),
    "xattr-refused": frozenset({"xattrs", "refused"}),
    "xattr-acl": frozenset({"xattrs", "refused"}),
    "nanoseconds": frozenset({"mtime"}),
    "mtime-range": frozenset({"mtime"}),
    "owner-kept": frozenset({"owner"}),
    "link-attributes": frozenset({"mode", "owner", "mtime", "xattrs"}),
    "link-to-itself": frozenset({"refused"}),
    "long-target": frozenset({"refused"}),
    "long-path": frozenset({"refused"}),
    "more": frozenset(),
}


def undeclared(comparison: Comparison) -> list[Difference]:
    """The differences that no lossy warning accounts for."""
    kinds = {warning.kind for warning in comparison.warnings if is_lossy(warning.kind)}
    if not kinds <= _CHANGES.keys():
        return []
    aspects = frozenset[str]().union(*(_CHANGES[kind] for kind in kinds))
    return [each for each in comparison.differences if each.aspect not in aspects]
