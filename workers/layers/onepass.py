"""The stages of one pass: all of a layer goes by once, and its tar is not kept.

::

    caller's thread   chunks ──┬────────────────────────┐
    decompress                 └─> pieces of the tar ───┤
    hashing                                             ├─> digest of the blob, diffID, leaves
    index                                               └─> tar headers, index

A plain tar needs no decompressing, and its diffID is the digest of the blob.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from app.errors import Cancelled, SourceInvalid
from app.oci.digest import DiffID, Digest
from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import TarIndex, TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.limits import TarLimits
from workers.formats.verity.blocks import deferred_digest
from workers.layers.blob import Blob, algorithm_of, joined
from workers.layers.built import ExpectedLayer, LayerOptions
from workers.layers.collection import rarely_collected
from workers.layers.decompression import DecompressionLimits, Piece, decompress
from workers.layers.identity import erofs_uuid
from workers.layers.pipeline import Channel, Flow
from workers.layers.spool import Lease
from workers.layers.tarleaves import TarLeaves

#: Chunks are joined to blocks of at least this, so that small ones cost little.
_BLOCK = 256 << 10
#: Items in a channel: enough to even out the stages, 1 MiB each at most.
_DEPTH = 4
#: What compresses well is inflated faster than it is hashed; the rest of a layer makes up for it.
_DEEP = 24
#: Stands in the index until the digest that its UUID derives from is known.
_UNKNOWN = UUID(int=0)


def read_layer(
    chunks: Iterable[bytes],
    compression: str,
    options: LayerOptions,
    expected: ExpectedLayer,
    lease: Lease,
    cancelled: Callable[[], bool],
) -> ReadLayer:
    """Send ``chunks`` through the stages once; raises what ``building.build_layer`` says."""
    one = _Pass(compression, options, expected, lease)
    one.stream(chunks, cancelled)
    return one.result()


@dataclass(frozen=True, slots=True)
class ReadLayer:
    """What is left of a layer that went by, checked against what was expected of it."""

    #: Digest and size in bytes of the (compressed) blob.
    layer_digest: Digest
    layer_size: int
    diff_id: DiffID
    #: Size of the tar and its verity leaves, in the spool.
    tar: TarLeaves
    index: TarIndex
    #: What the index was built under, where that was known before the blob's digest was.
    index_uuid: UUID | None
    #: Phase -> seconds.
    timings: dict[str, float]


#: A piece and what is to be done with it.
Work = tuple[Callable[[Piece], None], Piece]


class _Pipes:
    """The channels between the stages.

    Decompression is the longest stage, and waking a thread costs it: it wakes one, which hashes
    everything and passes pieces on.
    """

    def __init__(self, flow: Flow, *, packed: bool) -> None:
        self.blocks: Channel[bytes] = Channel(flow, _DEPTH)
        self.hashing: Channel[Work] = Channel(flow, _DEEP if packed else _DEPTH)
        self.index: Channel[Piece] = Channel(flow, _DEPTH)


class _Pass:
    """One layer on its way through the stages."""

    def __init__(
        self, compression: str, options: LayerOptions, expected: ExpectedLayer, lease: Lease
    ) -> None:
        self._started = time.perf_counter()
        self._compression = compression
        self._options = options
        self._expected = expected
        self._lease = lease
        own = bool(compression) or algorithm_of(expected) != "sha256"
        # What is hashed in one thread goes side by side.
        patient = deferred_digest() if own and algorithm_of(expected) == "sha256" else None
        self._blob = Blob(expected, patient)
        self._tar = TarLeaves(lease.create("leaves"), patient)
        #: Hashes the blob; leaves and diffID do so where the tar is the blob.
        self._hash_blob = self._blob.hash if own else self._tar.feed
        self._hashed_apart = own
        self._index: TarIndex | None = None
        self._unhashed = b""
        self._timings: dict[str, float] = {}

    def stream(self, chunks: Iterable[bytes], cancelled: Callable[[], bool]) -> None:
        """Send all bytes through the stages; raises the first error of any of them."""
        flow = Flow()
        packed = bool(self._compression)
        pipes = _Pipes(flow, packed=packed)
        if packed:
            flow.start("decompress", lambda: self._send_pieces(pipes.blocks, pipes))
        # Where something is to be unpacked, everything waits for that.
        flow.start("hashing", lambda: self._hash(pipes), yielding=packed)
        flow.start("index", lambda: self._build_index(pipes.index))
        source = self._counted(joined(chunks, _BLOCK), cancelled)
        try:
            blocks = self._send_blob(source, pipes)
            if packed:
                for block in blocks:
                    pipes.blocks.put(block)
                pipes.blocks.close()
            else:
                self._send_pieces(blocks, pipes)
            flow.join()
        except BaseException as error:  # noqa: BLE001 - raised again when all has stopped
            flow.fail(error)
            flow.wait()
            assert flow.error is not None
            if self._blob.explains(flow.error):
                self._read_on(source, pipes)
            raise flow.error from None
        self._timings |= {f"cpu-{stage}": seconds for stage, seconds in flow.cpu.items()}
        self._timings["stream"] = time.perf_counter() - self._started

    def _counted(self, blocks: Iterable[bytes], cancelled: Callable[[], bool]) -> Iterator[bytes]:
        for block in blocks:
            if cancelled():
                raise Cancelled("the build was cancelled")
            self._blob.count(block)
            yield block

    def _send_blob(self, source: Iterator[bytes], pipes: _Pipes) -> Iterator[bytes]:
        """Yield each block, on its way to be hashed when it is not yielded as a piece for that."""
        for block in source:
            self._unhashed = block
            if self._hashed_apart:
                pipes.hashing.put((self._hash_blob, block))
                self._unhashed = b""
            yield block
            self._unhashed = b""

    def _send_pieces(self, blocks: Iterable[bytes], pipes: _Pipes) -> None:
        options = self._options
        limits = DecompressionLimits(options.max_uncompressed_bytes, options.max_ratio)
        for piece in decompress(blocks, self._compression, limits):
            pipes.hashing.put((self._tar.feed, piece))
        # The blocks have ended before, so nothing comes to be hashed any more.
        pipes.hashing.close()

    def _hash(self, pipes: _Pipes) -> None:
        for function, piece in pipes.hashing:
            function(piece)
            if function == self._tar.feed:
                pipes.index.put(piece)
        pipes.index.close()

    def _read_on(self, source: Iterator[bytes], pipes: _Pipes) -> None:
        """Hash the rest of a blob that a stage refused; raises ``ContentMismatch``.

        Bytes damaged on their way are not the publisher's fault, and worth another try.
        """
        for work, block in pipes.hashing.rest():
            if work == self._hash_blob:
                work(block)
        self._hash_blob(self._unhashed)
        for block in source:
            self._hash_blob(block)
        self._blob.check(None if self._hashed_apart else Digest(self._tar.close()))

    def _uuid(self) -> UUID | None:
        """UUID of the index, where it is known before the blob's digest is."""
        if self._options.uuid is not None:
            return self._options.uuid
        known = self._options.layer_digest or self._expected.digest
        return erofs_uuid(known) if known is not None else None

    def _build_index(self, pieces: Channel[Piece]) -> None:
        options = self._options
        builder = TarIndexBuilder(
            TarIndexOptions(
                uuid=(self._uuid() or _UNKNOWN).bytes,
                version=options.builder_version,
                limits=TarLimits(
                    max_tar_bytes=options.max_uncompressed_bytes,
                    max_entries=options.max_entries,
                ),
            )
        )
        try:
            with rarely_collected():
                for piece in pieces:
                    builder.feed(piece)
                started = time.perf_counter()
                self._index = builder.finish()
            self._timings["index"] = time.perf_counter() - started
        except FormatError as error:
            raise SourceInvalid(
                str(error), reason=error.code, entry=error.entry, offset=error.offset
            ) from error

    def result(self) -> ReadLayer:
        """Check what was claimed of the layer; raises ``ContentMismatch``, ``SourceInvalid``."""
        assert self._index is not None
        diff_id = self._tar.close()
        blob = self._blob.check(None if self._hashed_apart else Digest(diff_id))
        if self._expected.diff_id not in (None, diff_id):
            raise SourceInvalid(
                f"the layer's diffID is {diff_id}, its image config says {self._expected.diff_id}",
                reason="diff-id-mismatch",
            )
        return ReadLayer(
            blob, self._blob.size, diff_id, self._tar, self._index, self._uuid(), self._timings
        )
