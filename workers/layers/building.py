"""One pass over a layer: from the compressed blob to index, hash tree, diffID and root hashes.

The uncompressed tar is never stored. While it streams by, its headers go to the index builder and
its 512-byte blocks become verity leaves in the spool; the index, known only at the end, is a
multiple of 512 bytes long, so its leaves are put in front then, and the upper levels follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from workers.layers.built import (
    BuiltLayer,
    ExpectedLayer,
    LayerOptions,
    Layout,
    LayoutForm,
    TreeSource,
)
from workers.layers.spool import Spool

__all__ = [
    "BuiltLayer",
    "ExpectedLayer",
    "LayerOptions",
    "Layout",
    "LayoutForm",
    "TreeSource",
    "build_layer",
]


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
    # The stages load decompressors and the index builder: whoever only names types needs none.
    from workers.layers.onepass import run

    return run(chunks, compression, options, spool, expected or ExpectedLayer(), cancelled)
