"""One layer of a registry's image: download, convert, push the index and the tree."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from app.config.model import BuildConfig
from app.jobs.records import BuiltFacts
from app.observability import metrics
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID
from app.oci.mediatypes import LAYER_COMPRESSION, OCTET_STREAM
from app.registry.protocols import Fetcher, Pusher
from app.registry.transfer.sources import BytesSource
from workers.layers.building import build_layer
from workers.layers.built import BuiltLayer, ExpectedLayer, LayerOptions
from workers.layers.spool import Spool

#: Of a layer's warnings, as many texts are recorded; all kinds are.
RECORDED_WARNINGS = 20

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
    source: Fetcher,
    repository: str,
    layer: Descriptor,
    diff_id: DiffID,
    options: LayerOptions,
    spool: Spool,
    *,
    cancelled: Callable[[], bool],
    progress: Progress,
) -> BuiltLayer:
    """Stream a layer from the registry through the builder; the caller closes the result.

    ``progress`` is told phase, bytes done and bytes in all. Raises what ``build_layer`` and
    ``Fetcher.fetch_blob`` raise.
    """
    with source.fetch_blob(repository, layer) as chunks:
        built = build_layer(
            _told(chunks, layer.size, progress),
            compression=LAYER_COMPRESSION[layer.media_type],
            options=options,
            spool=spool,
            expected=ExpectedLayer(digest=layer.digest, size=layer.size, diff_id=diff_id),
            cancelled=cancelled,
        )
    metrics.LAYER_BYTES.labels("pulled").inc(built.layer_size)
    metrics.LAYER_BYTES.labels("unpacked").inc(built.tar_size)
    for warning in built.warnings:
        metrics.LAYER_WARNINGS.labels(warning.kind).inc()
    return built


def push_built(pusher: Pusher, repository: str, built: BuiltLayer) -> float:
    """Push a layer's index and tree; returns the seconds it took."""
    started = time.perf_counter()
    for blob, content in (
        (_blob(built.index_digest, len(built.index)), BytesSource(built.index)),
        (_blob(built.tree_digest, built.tree_size), built.tree_source),
    ):
        pusher.push_blob(repository, blob, content)
        metrics.LAYER_BYTES.labels("pushed").inc(blob.size)
    return time.perf_counter() - started


def facts_of(built: BuiltLayer) -> BuiltFacts:
    """Return what is recorded of a build."""
    warnings = tuple(
        f"{warning.kind}: {warning.entry}: {warning.message}"[:300]
        for warning in built.warnings[:RECORDED_WARNINGS]
    )
    return BuiltFacts(
        index_digest=built.index_digest,
        index_size=len(built.index),
        tree_digest=built.tree_digest,
        tree_size=built.tree_size,
        root_hash=built.root_hash,
        single_device_root_hash=built.single_device_root_hash,
        uuid=built.uuid,
        data_size=built.data_size,
        hash_offset=built.hash_offset,
        entries=built.entries,
        tar_size=built.tar_size,
        warnings=warnings,
        warning_kinds=tuple(sorted({warning.kind for warning in built.warnings})),
    )


def _told(chunks: Iterable[bytes], size: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        progress("building", done, size)
        yield chunk


def _blob(digest: str, size: int) -> Descriptor:
    return Descriptor.model_validate({"mediaType": OCTET_STREAM, "digest": digest, "size": size})
