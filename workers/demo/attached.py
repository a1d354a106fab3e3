"""Reads back from the registry what was attached to an image, as any consumer could."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.catalog.profiles import DEFAULT_PROFILE, PROFILES
from app.errors import Unavailable
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import Manifest, parse_manifest
from app.registry.repository import Repository
from workers.artifacts.reading import read_bundle

POLL: Final = 0.2


@dataclass(frozen=True, slots=True)
class AttachedLayer:
    """One layer and what its bundle says about it; sizes in bytes."""

    layer: Descriptor
    index: Descriptor
    tree: Descriptor
    signature: Descriptor
    root_hash: str


@dataclass(frozen=True, slots=True)
class AttachedBundle:
    """The bundle of one platform."""

    platform: str
    subject: Digest
    manifest: Descriptor
    layers: tuple[AttachedLayer, ...]
    #: Seconds from the push's end until the bundle could be found.
    seconds: float


def wait_for_bundle(
    repository: Repository, subject: Digest, timeout: float, alive: Callable[[], bool]
) -> Descriptor:
    """Poll for the referrer; raises ``Unavailable`` after ``timeout`` seconds or a death."""
    deadline = time.monotonic() + timeout
    types = PROFILES[DEFAULT_PROFILE].artifact_types
    while True:
        found = [
            referrer
            for referrer in repository.list_referrers(subject)
            if referrer.artifact_type in types
        ]
        if found:
            return found[0]
        if not alive():
            raise Unavailable("the service ended while it was waited for")
        if time.monotonic() > deadline:
            raise Unavailable(f"nothing was attached to {subject} within {timeout:.0f} s")
        time.sleep(POLL)


def read(
    repository: Repository,
    platform: str,
    subject: Digest,
    bundle: Descriptor,
    seconds: float,
) -> AttachedBundle:
    """Fetch the bundle's manifest and the image's, and bring both together."""
    image = parse_manifest(repository.fetch_manifest(subject))
    manifest = parse_manifest(repository.fetch_manifest(bundle.digest))
    assert isinstance(image, Manifest)
    assert isinstance(manifest, Manifest)
    claimed = read_bundle(manifest, DEFAULT_PROFILE)
    layers = []
    for layer in image.layers:
        one = claimed.layers[layer.digest]
        layers.append(
            AttachedLayer(
                layer=layer,
                index=one.parts["index"],
                tree=one.parts["tree"],
                signature=one.parts["signature"],
                root_hash=one.facts["root_hash"],
            )
        )
    return AttachedBundle(platform, subject, bundle, tuple(layers), seconds)
