"""One pass over a layer: from the compressed blob to index, hash tree, diffID and root hashes.

The uncompressed tar is never stored. While it streams by (``onepass``), its headers go to the index
builder and its 512-byte blocks become verity leaves in the spool; the index, known only at the end,
is a multiple of 512 bytes long, so its leaves are put in front then, and the upper levels follow
(``finishing``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from workers.layers.built import BuiltLayer, ExpectedLayer, LayerOptions
from workers.layers.finishing import finish
from workers.layers.heap import keep_freed_pieces
from workers.layers.onepass import read_layer
from workers.layers.spool import Spool

#: Uncompressed bytes per compressed byte that the first reservation of the spool supposes.
_USUAL_RATIO = 3


def build_layer(
    chunks: Iterable[bytes],
    *,
    compression: str,
    options: LayerOptions,
    spool: Spool,
    expected: ExpectedLayer | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> BuiltLayer:
    """Convert the blob that ``chunks`` yields; the result owns scratch files until closed.

    ``compression`` is "", "gzip" or "zstd". ``chunks`` is consumed in the calling thread and
    ``cancelled`` asked between chunks. Raises ``SourceInvalid`` (malformed, hostile or over a
    limit, with ``reason``, and ``entry`` and ``offset`` where known), ``ContentMismatch`` (the blob
    is not what ``expected`` says), ``SpoolExhausted``, ``Cancelled``, and whatever ``chunks``
    raises.
    """
    expected = expected or ExpectedLayer()
    keep_freed_pieces()
    lease = spool.reserve(_first_reservation(expected.size, compression, options, spool))
    try:
        read = read_layer(
            chunks, compression, options, expected, lease, cancelled or (lambda: False)
        )
        return finish(read, options, lease)
    except BaseException:
        lease.close()
        raise


def _first_reservation(
    size: int | None, compression: str, options: LayerOptions, spool: Spool
) -> int:
    """What must fit before anything is read; a layer that proves larger reserves more.

    The usual ratio is a guess: it never refuses what a spool could hold at a ratio of 1.
    """
    least = _spool_bytes(min(size or 0, options.max_uncompressed_bytes))
    if not compression:
        return least
    usual = _spool_bytes(min((size or 0) * _USUAL_RATIO, options.max_uncompressed_bytes))
    return usual if usual <= spool.max_bytes else least


def _spool_bytes(tar_size: int) -> int:
    """Scratch bytes that a tar of ``tar_size`` bytes needs: its leaves and the level above."""
    return tar_size // 16 + tar_size // 240 + (1 << 20)
