"""From a bundle's manifest back to facts: which blobs and root hashes belong to which layer.

The inverse of ``compose`` over the same profiles. Fields are what the manifest *claims*; nothing
here is verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.catalog.profiles import PROFILES, Content, ManifestShape, Profile, ProfileName
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import Manifest


@dataclass(slots=True)
class ClaimedLayer:
    """What a bundle says about one layer of the image."""

    layer: Digest
    #: Descriptors by content; a content listed twice is in ``doubled``.
    parts: dict[Content, Descriptor] = field(default_factory=dict)
    doubled: set[Content] = field(default_factory=set)
    #: Facts read from annotations, by their template names, such as ``root_hash``.
    facts: dict[str, str] = field(default_factory=dict)
    #: Facts that two annotations state differently.
    contradictions: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class ClaimedBundle:
    """A bundle as its manifest describes it."""

    profile: Profile
    shape: ManifestShape
    layers: Mapping[Digest, ClaimedLayer]
    facts: Mapping[str, str]
    #: Entries that the profile does not know or that name no layer.
    unknown: tuple[Descriptor, ...]


def profiles_of(manifest: Manifest) -> list[ProfileName]:
    """Profiles that could have published this manifest, most entries understood first."""
    candidates = [
        (sum(_part(shape, entry) is not None for entry in manifest.layers), -position, name)
        for position, (name, profile) in enumerate(PROFILES.items())
        for shape in profile.manifests
        if shape.artifact_type == manifest.artifact_type
    ]
    return [name for _, _, name in sorted(candidates, reverse=True)]


def read_bundle(
    manifest: Manifest, profile_name: ProfileName, *, about: Digest | None = None
) -> ClaimedBundle:
    """Read a manifest under a profile; raises ``ValueError`` when its type is another one.

    ``about`` names the layer where the manifest itself does not (profile ``rfc-layer``).
    """
    profile = PROFILES[profile_name]
    for shape in profile.manifests:
        if shape.artifact_type == manifest.artifact_type:
            break
    else:
        raise ValueError(f"{manifest.artifact_type!r} is not published by {profile_name}")
    layers: dict[Digest, ClaimedLayer] = {}
    unknown: list[Descriptor] = []
    for entry in manifest.layers:
        part = _part(shape, entry)
        if part is None:
            unknown.append(entry)
            continue
        content, facts = part
        source = _digest(facts.get("layer_digest")) or about
        if content == "image-layer":
            source = entry.digest
        if source is None:
            unknown.append(entry)
            continue
        _add(layers.setdefault(source, ClaimedLayer(source)), content, entry, facts)
    return ClaimedBundle(
        profile=profile,
        shape=shape,
        layers=layers,
        facts=_facts(shape.annotations, manifest.annotations or {}),
        unknown=tuple(unknown),
    )


def _part(shape: ManifestShape, entry: Descriptor) -> tuple[Content, dict[str, str]] | None:
    """Find the part an entry is: by media type and by the annotations that are constant."""
    annotations = entry.annotations or {}
    for part in shape.parts:
        if part.media_type not in ("", entry.media_type):
            continue
        constant = {k: v for k, v in part.annotations.items() if "{" not in v}
        if all(annotations.get(name) == value for name, value in constant.items()):
            return part.content, _facts(part.annotations, annotations)
    return None


def _facts(templates: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, str]:
    facts = {}
    for name, template in templates.items():
        whole = re.fullmatch(r"\{(\w+)\}", template)
        if whole and name in annotations:
            facts[whole[1]] = annotations[name]
    return facts


def _add(
    layer: ClaimedLayer, content: Content, entry: Descriptor, facts: Mapping[str, str]
) -> None:
    if content in layer.parts:
        layer.doubled.add(content)
    layer.parts.setdefault(content, entry)
    for name, value in facts.items():
        if layer.facts.setdefault(name, value) != value:
            layer.contradictions.add(name)


def _digest(text: str | None) -> Digest | None:
    try:
        return Digest(text) if text is not None else None
    except ValueError:
        return None


def blobs_of(manifests: Iterable[Manifest]) -> set[Digest]:
    """Every blob that these manifests refer to."""
    return {entry.digest for manifest in manifests for entry in (manifest.config, *manifest.layers)}
