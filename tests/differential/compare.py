"""Compares what an index shows with what the runtime unpacks, and both with our warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.differential.indextree import index_tree
from tests.differential.runtime import RuntimeView, runtime_views
from tests.differential.tree import Node, Refused, flat
from tests.differential.unpack import unpack
from tests.support.vectors import build
from workers.formats.errors import FormatError
from workers.formats.tarindex.warning import TarWarning


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the runtime sees otherwise: ``aspect`` of what stands at ``path``."""

    path: bytes
    #: A key of ASPECTS, ``presence``, ``links``, ``refused`` or ``unreadable``.
    aspect: str
    runtime: object = None
    index: object = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One archive: no index (``refusal`` is our code), or warnings and differences."""

    refusal: str = ""
    runtime_refuses: bool = False
    warnings: tuple[TarWarning, ...] = ()
    differences: tuple[Difference, ...] = ()


#: What is compared of two nodes at one path.
ASPECTS: Final[dict[str, Callable[[Node], Any]]] = {
    "type": lambda node: node.kind,
    "mode": lambda node: node.mode,
    "owner": lambda node: (node.uid, node.gid),
    "mtime": lambda node: node.mtime,
    "size": lambda node: node.size,
    "content": lambda node: node.content,
    "target": lambda node: node.target,
    "device": lambda node: node.device,
    "xattrs": lambda node: node.xattrs,
}


def compare(archives: Sequence[bytes], version: str) -> Iterator[Comparison]:
    """Compare each archive's index by builder ``version`` with the runtime's view, in order."""
    for tar, view in zip(archives, runtime_views(archives), strict=True):
        yield _compare(tar, view, version)


def _compare(tar: bytes, view: RuntimeView, version: str) -> Comparison:
    theirs: Node | None = None
    reason = ""
    try:
        theirs = unpack(view)
    except Refused as refused:
        reason = str(refused)
    try:
        index = build(tar, version)
    except FormatError as error:
        return Comparison(error.code, theirs is None)
    if theirs is None:
        found = [Difference(b"", "refused", reason)]
    else:
        try:
            found = list(differences(theirs, index_tree(index.data, tar)))
        except FormatError as error:
            found = [Difference(b"", "unreadable", index=error.code)]
    return Comparison("", theirs is None, index.warnings, tuple(found))


def undeclared(comparison: Comparison) -> Sequence[Difference]:
    """The differences that nobody was warned of."""
    return () if comparison.warnings else comparison.differences


def differences(runtime: Node, index: Node) -> Iterator[Difference]:
    """Everything below the root that is not the same in both trees.

    The root's own attributes do not count: the runtime takes them from the snapshot, not from the
    layer.
    """
    theirs, ours = flat(runtime), flat(index)
    for path in sorted(theirs.keys() ^ ours.keys()):
        yield Difference(path, "presence", path in theirs, path in ours)
    for path in sorted(theirs.keys() & ours.keys()):
        if not path:
            continue
        for aspect, of in ASPECTS.items():
            seen, shown = of(theirs[path]), of(ours[path])
            if seen != shown and not (aspect == "mtime" and seen is None):
                yield Difference(path, aspect, seen, shown)
    if _linked(theirs) != _linked(ours):
        yield Difference(b"", "links", _linked(theirs), _linked(ours))


def _linked(paths: dict[bytes, Node]) -> list[list[bytes]]:
    """Sets of names that are one file."""
    names: dict[int, list[bytes]] = {}
    for path, node in paths.items():
        names.setdefault(id(node), []).append(path)
    return sorted(sorted(each) for each in names.values() if len(each) > 1)
