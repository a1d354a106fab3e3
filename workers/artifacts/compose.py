"""From signed layers to the exact manifests of a profile.

Byte-deterministic: the same layers, signatures and subject give the same manifests everywhere, so
that attaching twice is visible as the same digest. No clock: where readers choose the newest
bundle, the caller names the time (``next_created``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.catalog.profiles import PROFILES, ManifestShape, Part, Profile, ProfileName
from app.errors import ConfigurationError, SigningRefused
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import RawManifest, encode
from app.oci.mediatypes import EMPTY_JSON, OCI_EMPTY, OCI_MANIFEST
from workers.artifacts.annotations import image_annotations, layer_annotations
from workers.artifacts.signed import SignedLayer

#: ``created`` of a subject's first bundle: a fixed time, so that nothing depends on a clock.
FIRST_CREATED = "2025-01-01T00:00:00Z"

_EMPTY = Descriptor(media_type=OCI_EMPTY, digest=Digest.of(EMPTY_JSON), size=len(EMPTY_JSON))


@dataclass(frozen=True, slots=True)
class Bundle:
    """One manifest ready to push, and what has to be in the repository before it."""

    profile: ProfileName
    role: str
    artifact_type: str
    manifest: RawManifest
    #: Whom it refers to; None for the layer's own manifest.
    subject: Digest | None
    #: Small content made here: the empty config and signatures.
    blobs: Mapping[Digest, bytes]
    #: Content that conversion has pushed already: indexes, trees, the layer itself.
    stored: tuple[Descriptor, ...]
    #: Set where a manifest is about one layer, whatever image it is in.
    layer: Digest | None = None


def compose_all(
    profiles: Sequence[ProfileName], subject: Descriptor, layers: Sequence[SignedLayer]
) -> list[Bundle]:
    """Make the manifests of several profiles. Raises what ``compose`` raises."""
    return [bundle for name in profiles for bundle in compose(name, subject, layers)]


def wants_single_device(profiles: Sequence[ProfileName]) -> bool:
    """Whether a profile carries the root hash of the single-device layout."""
    return any(PROFILES[name].states("single_device_root_hash") for name in profiles)


def compose(
    profile_name: ProfileName,
    subject: Descriptor,
    layers: Sequence[SignedLayer],
    *,
    created: str = FIRST_CREATED,
) -> list[Bundle]:
    """Make the manifests of a profile, in the order in which they are to be pushed.

    ``subject`` is the platform manifest, ``layers`` all its layers, lowest first; a layer that an
    image lists twice appears once. ``created`` (RFC 3339) is used by dated profiles only. Raises
    ``SigningRefused`` where readers need a signature that is absent and ``ConfigurationError``
    where layers were built with a padding that readers do not assume.
    """
    profile = PROFILES[profile_name]
    if not layers:
        raise ConfigurationError(f"{subject.digest} has no layers to bundle")
    lowest: dict[Digest, tuple[int, SignedLayer]] = {}
    for number, layer in enumerate(layers):
        _check(profile, layer)
        lowest.setdefault(layer.layer.digest, (number, layer))
    numbered = list(lowest.values())
    if profile.about_image:
        return [
            _manifest(profile, shape, subject, numbered, created) for shape in profile.manifests
        ]
    return [bundle for each in numbered for bundle in _layer_graph(profile, each, created)]


def layer_manifests(layer: Descriptor) -> dict[ProfileName, RawManifest]:
    """The layer's own manifest in every profile that has one; anyone can compute them."""
    return {
        name: RawManifest(OCI_MANIFEST, encode(_document(shape.artifact_type, [_plain(layer)])))
        for name, profile in PROFILES.items()
        if (shape := profile.layer_manifest) is not None
    }


def next_created(existing: Sequence[str | None]) -> str:
    """Return the time that makes a new bundle the newest: a second after the newest that exists.

    Unreadable times count as absent.
    """
    newest = None
    for text in existing:
        try:
            at = datetime.fromisoformat(text or "")
        except ValueError:
            continue
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        newest = at if newest is None else max(newest, at)
    if newest is None:
        return FIRST_CREATED
    following = newest.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    return following.strftime("%Y-%m-%dT%H:%M:%SZ")


def _check(profile: Profile, layer: SignedLayer) -> None:
    if profile.signed and layer.signature is None:
        raise SigningRefused(
            f"layer {layer.layer.digest} is not signed, and readers of {profile.name} fail without",
            advice=f"bind a signer to this repository, or use the profile {_unsigned()}",
        )
    if profile.padding is not None and layer.facts.padding != profile.padding:
        raise ConfigurationError(
            f"layer {layer.layer.digest} is padded to {layer.facts.padding} bytes, "
            f"readers of {profile.name} assume {profile.padding}"
        )


def _unsigned() -> str:
    return " or ".join(name for name, profile in PROFILES.items() if not profile.signed)


def _layer_graph(
    profile: Profile, numbered: tuple[int, SignedLayer], created: str
) -> Iterator[Bundle]:
    # The layer's manifest is the same in every image, so it is position 0 of itself.
    layer = numbered[1]
    subject: Descriptor | None = None
    for shape in profile.manifests:
        bundle = _manifest(profile, shape, subject, [(0, layer)], created, about=layer)
        subject = subject or bundle.manifest.descriptor
        yield bundle


def _manifest(
    profile: Profile,
    shape: ManifestShape,
    subject: Descriptor | None,
    layers: Sequence[tuple[int, SignedLayer]],
    created: str,
    about: SignedLayer | None = None,
) -> Bundle:
    blobs: dict[Digest, bytes] = {_EMPTY.digest: EMPTY_JSON}
    entries: list[Descriptor] = []
    stored: list[Descriptor] = []
    for number, layer in layers:
        for part in shape.parts:
            content = _content(part, layer)
            if content is None:
                continue
            entry = _entry(part, content, layer, number)
            if isinstance(content, bytes):
                blobs[entry.digest] = content
            else:
                stored.append(entry)
            entries.append(entry)
    document = _document(shape.artifact_type, entries)
    if subject is not None:
        document["subject"] = _plain(subject).wire()
        version = layers[0][1].facts.builder_version
        annotations = image_annotations(shape.annotations, subject, version, created)
        if annotations:
            document["annotations"] = annotations
    return Bundle(
        profile=profile.name,
        role=shape.role,
        artifact_type=shape.artifact_type,
        manifest=RawManifest(OCI_MANIFEST, encode(document)),
        subject=subject.digest if subject else None,
        blobs=blobs,
        stored=tuple(stored),
        layer=about.layer.digest if about else None,
    )


def _document(artifact_type: str, entries: Sequence[Descriptor]) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": _EMPTY.wire(),
        "layers": [entry.wire() for entry in entries],
    }


def _content(part: Part, layer: SignedLayer) -> Descriptor | bytes | None:
    """Content of a part: inline bytes, a description of stored content, or None when absent."""
    facts = layer.facts
    match part.content:
        case "index":
            return Descriptor(
                media_type=part.media_type, digest=facts.index_digest, size=facts.index_size
            )
        case "tree":
            return Descriptor(
                media_type=part.media_type, digest=facts.tree_digest, size=facts.tree_size
            )
        case "image-layer":
            return _plain(layer.layer)
        case "signature":
            return layer.signature
        case "single-device-signature":
            return layer.single_device_signature


def _entry(part: Part, content: Descriptor | bytes, layer: SignedLayer, number: int) -> Descriptor:
    if isinstance(content, bytes):
        content = Descriptor(
            media_type=part.media_type, digest=Digest.of(content), size=len(content)
        )
    annotations = layer_annotations(part.annotations, layer, number)
    return content.model_copy(update={"annotations": annotations or None})


def _plain(descriptor: Descriptor) -> Descriptor:
    """Media type, digest and size alone."""
    return Descriptor(
        media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size
    )
