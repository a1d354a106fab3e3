"""What one pass over a layer yields, and the options and expectations it starts from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Literal, Self
from uuid import UUID

from app.catalog.builders import DEFAULT_BUILDER
from app.oci.digest import DiffID, Digest
from workers.formats.verity.extents import Extent, ExtentReader, chunks, total

if TYPE_CHECKING:
    from workers.formats.tarindex.builder import TarWarning

Layout = Literal["device-table", "single-device"]


@dataclass(frozen=True, slots=True)
class LayerOptions:
    """How a layer is built; all but the limits are part of its root hash."""

    builder_version: str = DEFAULT_BUILDER
    #: The verity data area is zero-filled to a multiple of this: 512, or 4096 for profile ``azl``.
    padding: int = 512
    #: UUID of the index; derived from the layer's digest when None.
    uuid: UUID | None = None
    #: Digest that UUIDs derive from; that of the bytes read when None.
    layer_digest: Digest | None = None
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
class LayoutForm:
    """A layer's index and hash tree in one layout; sizes in bytes.

    ``device-table`` is what mkfs.erofs writes and signed bundles carry; ``single-device`` is what
    stock containerd can run. Trees are read from the spool until the ``BuiltLayer`` is closed.
    """

    layout: Layout
    index: bytes
    #: 64 lowercase hexadecimal characters.
    root_hash: str
    tree: tuple[Extent, ...] = field(repr=False)

    @functools.cached_property
    def index_digest(self) -> Digest:
        """sha256 of the index."""
        return Digest.of(self.index)

    @functools.cached_property
    def tree_digest(self) -> Digest:
        """sha256 of the tree blob, which is read for it once."""
        return self.write_tree(None)

    @property
    def tree_size(self) -> int:
        """Length of ``[superblock][levels, top first]``."""
        return total(self.tree)

    def open_tree(self) -> BinaryIO:
        """Return a new reader of the tree blob; the caller closes it."""
        return ExtentReader(self.tree).buffered()

    def write_tree(self, out: BinaryIO | None) -> Digest:
        """Write the tree blob to ``out``, if given, and return its digest."""
        hasher = hashlib.sha256()
        for chunk in chunks(self.tree, 1 << 20):
            hasher.update(chunk)
            if out is not None:
                out.write(chunk)
        return Digest("sha256:" + hasher.hexdigest())


@dataclass(frozen=True, slots=True, eq=False)
class BuiltLayer:
    """One converted layer. A context manager: leaving it deletes its scratch files."""

    #: Digest that UUIDs derive from: the layer's in its manifest.
    layer_digest: Digest
    #: Digest and size in bytes of what was read (the compressed blob).
    blob_digest: Digest
    layer_size: int
    diff_id: DiffID
    tar_size: int
    uuid: str
    builder_version: str
    padding: int
    device_table: LayoutForm = field(repr=False)
    #: Length of index + tar before padding, and offset of the hash area, in bytes.
    data_size: int
    hash_offset: int
    entries: int
    warnings: tuple[TarWarning, ...]
    #: Phase -> seconds.
    timings: Mapping[str, float]
    make_single_device: Callable[[], LayoutForm] = field(repr=False)
    release: Callable[[], None] = field(repr=False)

    @property
    def index(self) -> bytes:
        """The index in the ``device-table`` layout."""
        return self.device_table.index

    @property
    def index_digest(self) -> Digest:
        """sha256 of ``index``."""
        return self.device_table.index_digest

    @property
    def tree_digest(self) -> Digest:
        """sha256 of the ``device-table`` tree blob."""
        return self.device_table.tree_digest

    @property
    def tree_size(self) -> int:
        """Length of the tree blob, the same in both layouts."""
        return self.device_table.tree_size

    @property
    def root_hash(self) -> str:
        """Root hash of the ``device-table`` layout, in hexadecimal."""
        return self.device_table.root_hash

    @property
    def single_device_root_hash(self) -> str:
        """Root hash of the ``single-device`` layout, in hexadecimal."""
        return self.form("single-device").root_hash

    def form(self, layout: Layout) -> LayoutForm:
        """Index and tree in a layout; ``single-device`` costs only the index's own blocks."""
        return self.device_table if layout == "device-table" else self.make_single_device()

    def open_tree(self) -> BinaryIO:
        """Return a new reader of the ``device-table`` tree blob; the caller closes it."""
        return self.device_table.open_tree()

    def single_device_index(self) -> bytes:
        """The index in the ``single-device`` layout, as long as ``index``."""
        return self.form("single-device").index

    def write_single_device_tree(self, out: BinaryIO) -> Digest:
        """Write the ``single-device`` tree blob and return its digest."""
        return self.form("single-device").write_tree(out)

    @property
    def tree_source(self) -> TreeSource:
        """The ``device-table`` tree as something uploads can open again for each attempt."""
        return TreeSource(self.device_table)

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


@dataclass(frozen=True, slots=True)
class TreeSource:
    """A ``BlobSource`` (app.registry.protocols) over a tree in the spool."""

    form: LayoutForm

    def open(self) -> BinaryIO:
        """Return a new reader at offset 0; the caller closes it."""
        return self.form.open_tree()
