"""Decompression as a stream of large pieces: gzip by ISA-L, zstd by libzstd, both without the lock.

Strict in what a node's runtime is strict in (Go's ``compress/gzip`` and klauspost's zstd): every
byte after a gzip member must begin another one, zero padding included; checksums are verified; a
stream that ends early is an error. What is compressed is told from the first bytes, whatever the
media type says, as containerd does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, cast

import zstandard
from isal import igzip_lib

from app.errors import SourceInvalid
from workers.layers.zstdframes import MAX_WINDOW, FrameWalker, is_zstd

Piece = bytes | memoryview
#: Size of the pieces that come out, in bytes.
PIECE = 1 << 20
_ISAL_ERROR = cast("type[Exception]", igzip_lib.IsalError)
_GZIP_MAGIC = b"\x1f\x8b\x08"
#: eStargz has a member per file, so many are normal, but few of them are empty.
_MAX_EMPTY_MEMBERS = 1000
_MAX_MEMBERS = 8_000_000
_MIN_SLICE, _MAX_SLICE = 4 << 10, 1 << 20
_ZSTD_READ = 256 << 10
#: Output that no ratio is asked of: a small layer of zeros is no attack.
_RATIO_FREE = 64 << 20


@dataclass(frozen=True, slots=True)
class DecompressionLimits:
    """Bounds of what may come out."""

    max_bytes: int
    #: Uncompressed bytes per compressed byte, asked beyond the first 64 MiB.
    max_ratio: float


def detect(head: bytes) -> str:
    """Return "gzip", "zstd" or "" from the first bytes of a stream."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if is_zstd(head) else ""


def decompress(
    blocks: Iterable[bytes], compression: str, limits: DecompressionLimits
) -> Iterator[Piece]:
    """Yield the uncompressed stream in pieces of up to 1 MiB; raises ``SourceInvalid``.

    ``compression`` "" passes ``blocks`` on; for anything else the content decides.
    """
    source = _Input(iter(blocks))
    pieces = source.rest()
    if compression:
        kind = detect(source.peek(4))
        if kind == "gzip":
            pieces = _gunzip(source)
        elif kind == "zstd":
            pieces = _unzstd(source)
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limits.max_bytes:
            raise SourceInvalid(
                f"the layer is larger than {limits.max_bytes} bytes uncompressed",
                advice="raise build.max_uncompressed_bytes if the layer is meant to be so large",
                reason="too-large",
            )
        if total > _RATIO_FREE and total > limits.max_ratio * source.taken:
            raise SourceInvalid(
                f"{source.taken} compressed bytes hold more than {total} bytes: over the ratio "
                f"of {limits.max_ratio:g}",
                advice="raise build.max_ratio if the layer is meant to be so compressible",
                reason="ratio-bomb",
            )
        yield piece


class _Input:
    """Blocks of the compressed stream, taken in slices of any size; part of one can be put back."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block = memoryview(b"")
        self._at = 0
        #: Bytes handed out so far.
        self.taken = 0

    def peek(self, size: int) -> bytes:
        head = bytes(self._block[self._at :])
        while len(head) < size and (block := next(self._blocks, b"")):
            head += block
        self._block, self._at = memoryview(head), 0
        return head[:size]

    def take(self, size: int) -> memoryview:
        """Return up to ``size`` bytes; nothing only at the end."""
        while self._at == len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return memoryview(b"")
            self._block, self._at = memoryview(block), 0
        piece = self._block[self._at : self._at + size]
        self._at += len(piece)
        self.taken += len(piece)
        return piece

    def give_back(self, size: int) -> None:
        """Return the last ``size`` bytes of what was taken last."""
        self._at -= size
        self.taken -= size

    def rest(self) -> Iterator[Piece]:
        """Yield what was not taken, block by block as it came."""
        if self._at < len(self._block):
            yield bytes(self._block[self._at :])
        for block in self._blocks:
            self.taken += len(block)
            yield block


def _gunzip(source: _Input) -> Iterator[Piece]:
    members = empty = 0
    while True:
        produced = 0
        for piece in _member(source, members):
            produced += len(piece)
            yield piece
        members += 1
        empty = 0 if produced else empty + 1
        if empty > _MAX_EMPTY_MEMBERS or members > _MAX_MEMBERS:
            raise SourceInvalid(
                f"too many gzip members ({members}, the last {empty} empty)",
                reason="endless-members",
            )
        if not source.take(1):
            return
        source.give_back(1)


def _member(source: _Input, before: int) -> Iterator[Piece]:
    """Yield one member's content and leave ``source`` behind its trailer.

    Slices start small, so that what is put back after a small member is small, too: many members
    take linear time.
    """
    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    size = _MIN_SLICE
    while not member.eof:
        data = source.take(size) if member.needs_input else memoryview(b"")
        size = min(size * 2, _MAX_SLICE)
        wanted = member.needs_input
        try:
            piece = member.decompress(data, PIECE)
        except _ISAL_ERROR as error:
            raise _gzip_error(error, before) from None
        if piece:
            yield piece
        elif wanted and not data and not member.eof:
            raise SourceInvalid("the gzip stream ends early", reason="gzip-truncated")
    source.give_back(len(member.unused_data))


def _gzip_error(error: Exception, before: int) -> SourceInvalid:
    # ISA-L: -4 is "invalid gzip/zlib wrapper found".
    if before and "-4 " in str(error):
        return SourceInvalid(
            f"bytes after gzip member {before} do not begin another one",
            reason="gzip-trailing-garbage",
        )
    return SourceInvalid(f"the gzip stream is corrupt: {error}", reason="gzip-corrupt")


class _Walked:
    """A file of the compressed stream for libzstd, whose frames are followed as it is read."""

    def __init__(self, source: _Input) -> None:
        self._source = source
        self.walker = FrameWalker()

    def read(self, size: int) -> bytes:
        data = bytes(self._source.take(size))
        self.walker.feed(data)
        return data


def _unzstd(source: _Input) -> Iterator[Piece]:
    walked = _Walked(source)
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(
        cast(IO[bytes], walked), read_size=_ZSTD_READ, read_across_frames=True
    )
    try:
        while piece := reader.read(PIECE):
            yield piece
    except zstandard.ZstdError as error:
        raise SourceInvalid(f"the zstd stream is corrupt: {error}", reason="zstd-corrupt") from None
    if not walked.walker.complete:
        raise SourceInvalid("the zstd stream ends early", reason="zstd-truncated")
