"""One layer of a registry's image: download, convert, push the index and the tree."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from app.config.model import BuildConfig
from app.facts import LayerFacts
from app.observability import metrics
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID
from app.oci.mediatypes import LAYER_COMPRESSION, OCTET_STREAM
from app.registry.protocols import BlobSource
from app.registry.repository import Fetcher, Pusher
from app.registry.transfer.sources import BytesSource
from workers.layers.building import build_layer
from workers.layers.built import BuiltLayer, ExpectedLayer, LayerOptions
from workers.layers.spool import Spool

Progress = Callable[[str, int, int], None]


def layer_options(build: BuildConfig, layer: Descriptor) -> LayerOptions:
    """Return the options under which the service builds a layer."""
    return LayerOptions(
        builder_version=build.builder_version,
        padding=build.padding,
        layer_digest=layer.digest,
        max_uncompressed_bytes=build.max_uncompressed_bytes,
        max_ratio=build.max_ratio,
        max_entries=build.max_entries,
    )


def build_remote_layer(
    repository: Fetcher,
    layer: Descriptor,
    diff_id: DiffID,
    options: LayerOptions,
    spool: Spool,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Progress = lambda phase, done, size: None,
) -> BuiltLayer:
    """Stream a layer from the registry through the builder; the caller closes the result.

    ``layer`` and ``diff_id`` are what manifest and config claim. ``progress`` is told phase, bytes
    done and bytes in all. Raises what ``build_layer`` and ``Fetcher.fetch_blob`` raise.
    """
    with repository.fetch_blob(layer) as chunks:
        built = build_layer(
            _reporting(chunks, layer.size, progress),
            compression=LAYER_COMPRESSION[layer.media_type],
            options=options,
            spool=spool,
            expected=ExpectedLayer(digest=layer.digest, size=layer.size, diff_id=diff_id),
            cancelled=cancelled,
        )
    metrics.LAYER_BYTES.labels("pulled").inc(built.facts.layer_size)
    metrics.LAYER_BYTES.labels("unpacked").inc(built.facts.tar_size)
    for each in built.facts.warned:
        metrics.LAYER_WARNINGS.labels(each.kind).inc(each.count)
    return built


def stored_blobs(facts: LayerFacts) -> tuple[Descriptor, Descriptor]:
    """Describe the blobs that a build pushes: index and hash tree."""
    return (
        Descriptor(media_type=OCTET_STREAM, digest=facts.index_digest, size=facts.index_size),
        Descriptor(media_type=OCTET_STREAM, digest=facts.tree_digest, size=facts.tree_size),
    )


def push_built(repository: Pusher, built: BuiltLayer) -> float:
    """Push a layer's index and tree; returns the seconds it took."""
    started = time.perf_counter()
    form = built.device_table
    sources: tuple[BlobSource, BlobSource] = BytesSource(form.index), form.tree
    for blob, content in zip(stored_blobs(built.facts), sources, strict=True):
        repository.push_blob(blob, content)
        metrics.LAYER_BYTES.labels("pushed").inc(blob.size)
    return time.perf_counter() - started


def _reporting(chunks: Iterable[bytes], size: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        progress("building", done, size)
        yield chunk
