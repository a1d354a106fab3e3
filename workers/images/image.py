"""One image: read and plan it, turn signed layers into bundles, attach them.

The same code serves a worker, which finds its layers built by other tasks, and the command line,
which builds them in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.catalog.profiles import PROFILES, ProfileName
from app.config.model import Defaults
from app.errors import NotConvertible
from app.oci.digest import Digest
from app.oci.images import ImagePlan, classify, plan_image
from app.oci.manifest import (
    MAX_CONFIG_BYTES,
    Manifest,
    RawManifest,
    parse_image_config,
    parse_manifest,
)
from app.registry.protocols import Coordination, Fetcher, Registry
from app.registry.repository import Repository
from workers.artifacts.compose import Bundle, compose
from workers.artifacts.reading import read_bundle
from workers.artifacts.signed import SignedLayer
from workers.images.placement import Placement
from workers.images.publish import Published, publish


def read_plan(source: Fetcher, repository: str, digest: Digest) -> ImagePlan:
    """Fetch one image's manifest and config and plan it.

    This is the authoritative loop guard: whatever has a subject, an artifact type or another config
    raises ``NotConvertible``. Raises ``SourceInvalid`` and registry errors.
    """
    raw = source.fetch_manifest(repository, digest)
    return plan_of(source, repository, raw)


def plan_of(source: Fetcher, repository: str, raw: RawManifest) -> ImagePlan:
    """Plan an image whose manifest was read already.

    Raises ``NotConvertible`` for anything but an image, ``SourceInvalid`` and registry errors.
    """
    parsed = parse_manifest(raw)
    if not isinstance(parsed, Manifest):
        raise NotConvertible("not-an-image", f"manifest {raw.digest} is an index")
    refused = classify(parsed)
    if refused is not None:
        raise NotConvertible(refused[0], f"manifest {raw.digest}: {refused[1]}")
    data = source.read_blob(repository, parsed.config, max_bytes=MAX_CONFIG_BYTES)
    return plan_image(raw, parse_image_config(data))


def compose_all(
    plan: ImagePlan, profiles: Sequence[ProfileName], layers: Sequence[SignedLayer]
) -> list[Bundle]:
    """Make the bundles of every profile. Raises what ``compose`` raises."""
    return [bundle for profile in profiles for bundle in compose(profile, plan.subject, layers)]


def wants_single_device(profiles: Sequence[ProfileName]) -> bool:
    """Whether a profile carries the root hash of the single-device layout."""
    return any(PROFILES[name].states("single_device_root_hash") for name in profiles)


def attach(
    registry: Registry,
    coordination: Coordination,
    repository: str,
    bundles: Sequence[Bundle],
    defaults: Defaults,
    *,
    force: bool,
) -> list[Published]:
    """Attach bundles, checking under a lock what is there; ``force`` replaces another one."""
    return publish(
        Repository(registry, repository),
        bundles,
        placement=Placement.from_defaults(defaults),
        existing="replace" if force else "keep",
    )


def attached_already(
    registry: Registry, repository: str, plan: ImagePlan, profiles: Sequence[ProfileName]
) -> list[Published] | None:
    """Find bundles that make building pointless, or None when any profile lacks one.

    Only profiles whose readers accept a single bundle count, and only bundles that cover every
    layer with a root hash. It spares rebuilding everything after the ledger was lost.
    """
    found: list[Published] = []
    for name in profiles:
        profile = PROFILES[name]
        if not profile.single or not profile.about_image:
            return None
        covering = _covering(registry, repository, plan, name)
        if covering is None:
            return None
        found.append(Published(name, "bundle", covering, "kept"))
    return found


def _covering(
    registry: Registry, repository: str, plan: ImagePlan, name: ProfileName
) -> Digest | None:
    artifact_type = PROFILES[name].manifests[0].artifact_type
    referrers = registry.list_referrers(repository, plan.subject.digest, artifact_type)
    if len(referrers) != 1:
        return None
    raw = registry.fetch_manifest(repository, referrers[0].digest)
    manifest = parse_manifest(raw)
    if not isinstance(manifest, Manifest):
        return None
    claimed = read_bundle(manifest, name).layers
    for layer in plan.layers:
        one = claimed.get(layer.descriptor.digest)
        if one is None or "root_hash" not in one.facts or one.doubled or one.contradictions:
            return None
    return referrers[0].digest
