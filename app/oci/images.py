"""What of a pushed manifest can be converted, and why the rest is skipped. Pure.

::

    for child in walk(root, fetch):           # indexes, nested ones too; skips carry a reason
        if isinstance(child, Skipped): ...
        plan = plan_image(child.manifest, parse_image_config(config_bytes))

Every image is converted whole or not at all: readers of a bundle want all layers of an image, so
one layer that cannot be converted skips the image, with that layer named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from app.errors import NotConvertible, SourceInvalid
from app.oci import mediatypes
from app.oci.descriptor import Descriptor, Platform
from app.oci.digest import DiffID, Digest
from app.oci.manifest import ImageConfig, Index, Manifest, RawManifest, parse_manifest

Reason = Literal[
    "referrer", "artifact", "attestation", "not-an-image", "not-linux", "no-layers",
    "foreign-layer", "encrypted-layer", "erofs-layer", "empty-blob", "unknown-layer-type",
    # Not told here: an index of nothing, what a rule rules out, what the layers turn out to hold.
    "no-image", "platform", "too-large", "lossy",
]  # fmt: skip
#: All reasons of ``NotConvertible`` and ``Skipped``; docs/registries.md explains them.
REASONS: tuple[Reason, ...] = get_args(Reason)

#: BuildKit marks the children of an index that are attestations (its attestation storage spec).
BUILDKIT_TYPE = "vnd.docker.reference.type"
#: Indexes within indexes, and manifests below one root, that are looked at.
MAX_DEPTH = 4
MAX_CHILDREN = 1024
MAX_LAYERS = 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A single-platform image manifest; ``platform`` is what its index says, if anything."""

    manifest: RawManifest
    parsed: Manifest
    platform: Platform | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something below the root that is deliberately not converted."""

    digest: Digest
    reason: Reason
    message: str
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One distinct layer; ``positions`` are its places in the image, lowest first."""

    descriptor: Descriptor
    diff_id: DiffID
    #: ``""``, ``"gzip"`` or ``"zstd"``.
    compression: str
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What to build for one image: its distinct layers, in order of first use."""

    subject: Descriptor
    platform: Platform
    layers: tuple[PlannedLayer, ...]
    size: int


def walk(root: RawManifest, fetch: Callable[[Digest], RawManifest]) -> Iterator[Found | Skipped]:
    """Yield everything below a root manifest, each digest once.

    ``fetch``, a repository's ``fetch_manifest``, is asked only for children that may be images.
    Raises what it raises, and ``SourceInvalid`` for malformed manifests, too deep nesting and too
    many children.
    """
    yield from _walk(root, None, fetch, 0, set())


def _walk(
    raw: RawManifest,
    platform: Platform | None,
    fetch: Callable[[Digest], RawManifest],
    depth: int,
    seen: set[Digest],
) -> Iterator[Found | Skipped]:
    if raw.digest in seen:
        return
    seen.add(raw.digest)
    parsed = parse_manifest(raw)
    refused = classify(parsed)
    if refused is not None:
        yield Skipped(raw.digest, *refused, platform)
        return
    if isinstance(parsed, Manifest):
        yield Found(raw, parsed, platform)
        return
    if depth >= MAX_DEPTH:
        raise SourceInvalid(f"index {raw.digest} is nested deeper than {MAX_DEPTH}")
    for child in parsed.manifests:
        if len(seen) > MAX_CHILDREN:
            raise SourceInvalid(f"more than {MAX_CHILDREN} manifests below one index")
        why = _child_refused(child)
        if why is None:
            yield from _walk(fetch(child.digest), child.platform, fetch, depth + 1, seen)
        elif child.digest not in seen:
            seen.add(child.digest)
            yield Skipped(child.digest, *why, child.platform)


def classify(parsed: Manifest | Index) -> tuple[Reason, str] | None:
    """Say why a manifest is no image, or None when it is one, or an index that may hold some."""
    if parsed.subject is not None:
        return "referrer", f"it refers to {parsed.subject.digest}"
    if parsed.artifact_type is not None:
        return "artifact", f"it is an artifact of type {parsed.artifact_type[:100]}"
    if isinstance(parsed, Manifest) and not parsed.is_image:
        return "not-an-image", f"its config is {parsed.config.media_type[:100]}"
    return None


def _child_refused(child: Descriptor) -> tuple[Reason, str] | None:
    kind = (child.annotations or {}).get(BUILDKIT_TYPE)
    if kind is not None:
        return "attestation", f"BuildKit marks it as {kind[:100]}"
    if child.artifact_type is not None:
        return "artifact", f"it is an artifact of type {child.artifact_type[:100]}"
    if child.media_type not in mediatypes.MANIFEST_TYPES | mediatypes.INDEX_TYPES:
        return "not-an-image", f"its media type is {child.media_type[:100]}"
    if child.platform is not None and child.platform.os not in ("linux", "unknown", ""):
        return "not-linux", f"it runs on {child.platform}"
    return None


def plan_image(manifest: RawManifest, config: ImageConfig) -> ImagePlan:
    """Plan the conversion of one image manifest with its config.

    Raises ``NotConvertible`` with one of ``REASONS``, and ``SourceInvalid`` when manifest and
    config contradict each other.
    """
    parsed = parse_manifest(manifest)
    if not isinstance(parsed, Manifest):
        raise SourceInvalid(f"manifest {manifest.digest} is an index, not an image")
    refused = classify(parsed)
    if refused is None and config.os != "linux":
        refused = "not-linux", f"it runs on {config.platform}"
    if refused is None and not parsed.layers:
        refused = "no-layers", "it has no layers"
    if refused is not None:
        raise NotConvertible(refused[0], f"image {manifest.digest}: {refused[1]}")
    layers = _layers(manifest.digest, parsed, config.rootfs.diff_ids)
    size = sum(layer.descriptor.size for layer in layers)
    return ImagePlan(manifest.descriptor, config.platform, layers, size)


def _layers(
    image: Digest, parsed: Manifest, diff_ids: tuple[DiffID, ...]
) -> tuple[PlannedLayer, ...]:
    if len(parsed.layers) > MAX_LAYERS:
        raise SourceInvalid(f"image {image} has more than {MAX_LAYERS} layers")
    for position, layer in enumerate(parsed.layers):
        refused = layer_refused(layer)
        if refused is not None:
            message = f"image {image}: layer {position} ({layer.digest}) {refused[1]}"
            raise NotConvertible(refused[0], message, layer=layer.digest)
    if len(parsed.layers) != len(diff_ids):
        raise SourceInvalid(
            f"image {image} has {len(parsed.layers)} layers, its config {len(diff_ids)} diff_ids"
        )
    planned: dict[Digest, PlannedLayer] = {}
    for position, (layer, diff_id) in enumerate(zip(parsed.layers, diff_ids, strict=True)):
        before = planned.get(layer.digest)
        if before is None:
            compression = mediatypes.LAYER_COMPRESSION[layer.media_type]
            planned[layer.digest] = PlannedLayer(layer, diff_id, compression, (position,))
            continue
        if (before.diff_id, before.descriptor.size) != (diff_id, layer.size):
            raise SourceInvalid(
                f"image {image}: layer {layer.digest} occurs twice, with two sizes or diff_ids"
            )
        positions = (*before.positions, position)
        planned[layer.digest] = PlannedLayer(
            before.descriptor, diff_id, before.compression, positions
        )
    return tuple(planned.values())


def layer_refused(layer: Descriptor) -> tuple[Reason, str] | None:
    """Say why a layer cannot be converted, by its descriptor alone, or None.

    A layer without files is converted like any other; one without bytes is not a tar.
    """
    kind = layer.media_type
    if kind in mediatypes.FOREIGN_LAYERS:
        return "foreign-layer", "may not be stored by registries"
    if kind.endswith("+encrypted"):
        return "encrypted-layer", "is encrypted"
    if "erofs" in kind.lower():
        return "erofs-layer", "is an EROFS image already"
    if kind not in mediatypes.LAYER_COMPRESSION:
        return "unknown-layer-type", f"has media type {kind[:100]}"
    if layer.size == 0:
        return "empty-blob", "has no bytes"
    return None
