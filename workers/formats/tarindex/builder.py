"""The EROFS index of a tar, byte for byte what ``mkfs.erofs --tar=i`` writes.

``TarIndexBuilder`` streams: feed it the tar in chunks of any size, then ``finish``. Rules, versions
and exceptions: docs/formats.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from app.catalog.builders import BUILDERS, DEFAULT_BUILDER, BuilderVersion
from workers.formats.erofs.ondisk import BLOCK
from workers.formats.errors import FormatError
from workers.formats.tarindex.apply import TIMES_CLAMP, TIMES_FIXED, TIMES_KEEP, TreeBuilder
from workers.formats.tarindex.layout import Layout
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.reader import TarReader
from workers.formats.tarindex.superblock import SuperblockFacts
from workers.formats.tarindex.warning import TarWarning, WarningCount, Warnings
from workers.formats.tarindex.writer import write_index

_TIMES: Final = {"keep": TIMES_KEEP, "fixed": TIMES_FIXED, "clamp": TIMES_CLAMP}


def builder_version(name: str) -> BuilderVersion:
    """The release called ``name``. Raises FormatError ``unknown-version`` with those there are."""
    row = BUILDERS.get(name)
    if row is None:
        known = ", ".join(BUILDERS)
        raise FormatError("unknown-version", f"no builder version {name!r}; there are {known}")
    return row


@dataclass(frozen=True, slots=True)
class TarIndexOptions:
    """What the index depends on beside the tar."""

    #: 16 bytes, in text order.
    uuid: bytes
    #: Release of erofs-utils whose bytes are wanted.
    version: str = DEFAULT_BUILDER
    #: Translate ``.wh.`` names to overlay whiteouts (``--aufs``).
    aufs: bool = True
    #: Epoch of the image in seconds (``-T``, or SOURCE_DATE_EPOCH).
    build_time: int = 0
    #: mtimes: kept (``--mkfs-time``), all ``build_time`` (``-T`` alone), or clamped to it.
    times: Literal["keep", "fixed", "clamp"] = "keep"
    limits: TarLimits = field(default_factory=TarLimits)


@dataclass(frozen=True, slots=True)
class TarIndex:
    """A finished index: its bytes (a multiple of 512), and what was met on the way."""

    data: bytes
    entries: int
    #: The first ones, then one of kind ``more``; exact by kind in ``counts``.
    warnings: tuple[TarWarning, ...]
    counts: tuple[WarningCount, ...]
    #: 512-byte blocks of the tar up to where reading stopped (the size of device 1).
    tar_blocks: int


class TarIndexBuilder:
    """Builds the index of one tar; memory grows with its entries, not with its files."""

    def __init__(self, options: TarIndexOptions) -> None:
        if len(options.uuid) != 16:
            raise ValueError("a UUID has 16 bytes")
        version = builder_version(options.version)
        self._options = options
        self._version = version
        self._warnings = Warnings(options.limits)
        self._tree = TreeBuilder(
            version,
            options.limits,
            self._warnings,
            options.aufs,
            _TIMES[options.times],
            options.build_time,
        )
        self._reader = TarReader(self._tree, version, options.limits, self._warnings)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the tar, in chunks of any length. Raises FormatError."""
        # A compiled reader insists on these two types.
        self._reader.feed(data if isinstance(data, bytes) else memoryview(data))

    def finish(self) -> TarIndex:
        """The index, once the whole tar was fed. Raises FormatError."""
        self._reader.close()
        options = self._options
        layout = Layout(self._tree.root, self._version, options.build_time, options.limits)
        blocks = (self._reader.counted + BLOCK - 1) // BLOCK
        facts = SuperblockFacts(
            self._version, options.uuid, options.build_time, self._reader.label, blocks
        )
        data = write_index(layout, facts)
        layout.release()
        warnings = self._warnings
        return TarIndex(data, self._tree.entries, warnings.all(), warnings.counts(), blocks)
