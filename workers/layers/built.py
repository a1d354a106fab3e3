"""The content that one pass over a layer leaves, and the options and expectations it starts from.

What is worth keeping of it is ``app.facts.LayerFacts``.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self
from uuid import UUID

from app.catalog.builders import DEFAULT_BUILDER
from app.catalog.vocabulary import Layout
from app.facts import LayerFacts
from app.oci.digest import DiffID, Digest
from workers.formats.verity.extents import Extent, ExtentReader, chunks, total

if TYPE_CHECKING:
    from workers.formats.tarindex.warning import TarWarning

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class LayerOptions:
    """How a layer is built; what is no limit decides about its root hashes."""

    builder_version: str = DEFAULT_BUILDER
    #: The verity data area is zero-filled to a multiple of this: 512, or 4096 for profile ``azl``.
    padding: int = 512
    #: UUID of the index; derived from the layer's digest when None.
    uuid: UUID | None = None
    #: Digest that UUIDs derive from; that of the bytes read when None.
    layer_digest: Digest | None = None
    #: Whether facts state the root hash of the ``single-device`` layout, too: another walk over the
    #: index, for which only bundles have use.
    single_device: bool = True
    max_uncompressed_bytes: int = 64 << 30
    #: Uncompressed bytes per compressed byte.
    max_ratio: float = 1100.0
    max_entries: int = 2_000_000


@dataclass(frozen=True, slots=True)
class ExpectedLayer:
    """What a manifest and image config claim of a layer; None where nothing is claimed."""

    digest: Digest | None = None
    #: Bytes of the (compressed) blob.
    size: int | None = None
    diff_id: DiffID | None = None


@dataclass(frozen=True, eq=False)
class SpooledTree:
    """A hash tree in the spool, a ``BlobSource`` (app.registry.protocols).

    It can be read until its ``BuiltLayer`` is closed.
    """

    extents: tuple[Extent, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Length of ``[superblock][levels, top first]`` in bytes."""
        return total(self.extents)

    @functools.cached_property
    def digest(self) -> Digest:
        """sha256 of the tree, which is read for it once."""
        hasher = hashlib.sha256()
        for chunk in chunks(self.extents, _CHUNK):
            hasher.update(chunk)
        return Digest("sha256:" + hasher.hexdigest())

    def open(self) -> BinaryIO:
        """Return a new reader at offset 0; the caller closes it."""
        return ExtentReader(self.extents).buffered()

    def write(self, out: BinaryIO) -> None:
        """Write the tree to ``out``."""
        for chunk in chunks(self.extents, _CHUNK):
            out.write(chunk)


@dataclass(frozen=True, eq=False)
class LayoutForm:
    """A layer's index and hash tree in one layout."""

    layout: Layout
    index: bytes
    #: 64 lowercase hexadecimal characters.
    root_hash: str
    tree: SpooledTree

    @functools.cached_property
    def index_digest(self) -> Digest:
        """sha256 of the index."""
        return Digest.of(self.index)


@dataclass(frozen=True, slots=True, eq=False)
class BuiltLayer:
    """One built layer's content. A context manager: leaving it deletes its scratch files."""

    facts: LayerFacts
    device_table: LayoutForm = field(repr=False)
    #: The first ones in full; ``facts`` counts all.
    warnings: tuple[TarWarning, ...]
    #: Phase -> seconds.
    timings: Mapping[str, float]
    make_single_device: Callable[[], LayoutForm] = field(repr=False)
    release: Callable[[], None] = field(repr=False)

    def form(self, layout: Layout) -> LayoutForm:
        """Index and tree in a layout; ``single-device`` costs a walk over the index."""
        return self.device_table if layout == "device-table" else self.make_single_device()

    def close(self) -> None:
        """Delete the scratch files; harmless twice."""
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
