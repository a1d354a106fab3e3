"""Publishes bundles: as referrers, and under tags for readers that know no referrers.

Attaching is: check, then skip or attach, under one lock per subject.

Two workers may finish the same image at once, and readers of some profiles fail the *pull* when
they find two bundles; so what is there already is looked at inside the lock, and an old bundle is
removed only after its digest was seen there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.catalog.profiles import PROFILES, ProfileName
from app.catalog.vocabulary import ReplaceOrder
from app.config.model import Defaults
from app.errors import ContentMismatch, NotFound
from app.oci.derived_tags import DerivedTag
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import ImagePlan
from app.oci.manifest import Manifest, parse_manifest
from app.oci.mediatypes import OCTET_STREAM
from app.registry.repository import Repository
from app.registry.transfer.sources import BytesSource
from workers.artifacts.compose import Bundle
from workers.artifacts.reading import read_bundle

#: What became of a bundle; ``kept``: another one under this type was there and was left alone.
Action = Literal["attached", "present", "replaced", "kept"]


@dataclass(frozen=True, slots=True)
class Placement:
    """How bundles are placed and replaced."""

    replace: ReplaceOrder = "push-then-delete"
    #: Profile -> suffix of its deterministic tag; profiles not named get no tag.
    tag_suffixes: Mapping[ProfileName, str] = field(default_factory=dict)

    @classmethod
    def from_defaults(cls, defaults: Defaults) -> Placement:
        """Take the placement that the configuration document asks for."""
        return cls(defaults.replace, defaults.tag_suffixes)


@dataclass(frozen=True, slots=True)
class Published:
    """What became of one bundle."""

    profile: ProfileName
    role: str
    digest: Digest
    action: Action
    #: Bundles that were removed in favour of this one.
    removed: tuple[Digest, ...] = ()
    tags: tuple[str, ...] = ()


def publish(
    repository: Repository,
    bundles: Sequence[Bundle],
    *,
    placement: Placement,
    force: bool = False,
) -> list[Published]:
    """Publish the bundles of one image, in order; doing it again changes nothing.

    Indexes and trees must be in ``repository`` already: ``ContentMismatch`` names those that are
    not, before anything is attached. *Another* bundle of a profile whose readers accept one only is
    left alone; ``force`` replaces it, in the order that ``placement`` says.
    """
    _check_stored(repository, bundles)
    published = []
    for bundle in bundles:
        subject = bundle.subject or bundle.manifest.digest
        with repository.exclusive("bundle", subject):
            published.append(_publish_one(repository, bundle, placement, force))
    return published


def _check_stored(repository: Repository, bundles: Sequence[Bundle]) -> None:
    stored = {entry.digest: entry for bundle in bundles for entry in bundle.stored}
    missing = [str(digest) for digest in stored if not repository.blob_exists(digest)]
    if missing:
        raise ContentMismatch(
            f"blobs are not in {repository}: {', '.join(missing)}",
            advice="push indexes and trees before their bundle",
        )


def _publish_one(
    repository: Repository,
    bundle: Bundle,
    placement: Placement,
    force: bool,
) -> Published:
    others: list[Descriptor] = []
    present = False
    if bundle.subject is not None:
        found = repository.list_referrers(bundle.subject, bundle.artifact_type)
        present = any(each.digest == bundle.manifest.digest for each in found)
        others = [each for each in found if each.digest != bundle.manifest.digest]
    # Readers that want one bundle, and readers that take the newest, are both served by replacing.
    # Signatures of other parties beside ours are legitimate and stay.
    profile = PROFILES[bundle.profile]
    rivals = others if profile.single or profile.dated else []
    if rivals and not force:
        kept = bundle.manifest.digest if present else rivals[0].digest
        return Published(bundle.profile, bundle.role, kept, "kept")
    removed = tuple(each.digest for each in rivals)
    if placement.replace == "delete-then-push":
        _remove(repository, bundle, removed)
    if not present:
        _push(repository, bundle)
    if placement.replace == "push-then-delete":
        _remove(repository, bundle, removed)
    tags = tags_of(bundle, placement)
    for tag in tags:
        _tag(repository, bundle, tag)
    action: Action = "present" if present else "attached"
    return Published(
        bundle.profile,
        bundle.role,
        bundle.manifest.digest,
        "replaced" if removed else action,
        removed,
        tags,
    )


def _push(repository: Repository, bundle: Bundle) -> None:
    for digest, data in bundle.blobs.items():
        blob = Descriptor(media_type=OCTET_STREAM, digest=digest, size=len(data))
        repository.push_blob(blob, BytesSource(data))
    if bundle.subject is None:
        repository.push_manifest(bundle.manifest)
    else:
        repository.attach(bundle.manifest)


def _remove(repository: Repository, bundle: Bundle, digests: Sequence[Digest]) -> None:
    for digest in digests:
        if bundle.subject is not None:
            repository.detach(bundle.subject, digest)


def _tag(repository: Repository, bundle: Bundle, tag: str) -> None:
    try:
        if repository.resolve(tag).digest == bundle.manifest.digest:
            return
    except NotFound:
        pass
    repository.push_manifest(bundle.manifest, tag)


def tags_of(bundle: Bundle, placement: Placement) -> tuple[str, ...]:
    """Tags of a bundle, named by its image or, where each layer has its own, by its layer.

    A profile that publishes several manifests about a layer tells them apart by their roles.
    """
    suffix = placement.tag_suffixes.get(bundle.profile)
    about = bundle.layer or bundle.subject
    if suffix is None or about is None:
        return ()
    role = () if bundle.layer is None else (bundle.role,)
    return (str(DerivedTag.of(about, suffix, *role)),)


def attached_already(
    repository: Repository, plan: ImagePlan, profiles: Sequence[ProfileName]
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
        covering = _covering(repository, plan, name)
        if covering is None:
            return None
        found.append(Published(name, "bundle", covering, "kept"))
    return found


def _covering(repository: Repository, plan: ImagePlan, name: ProfileName) -> Digest | None:
    artifact_type = PROFILES[name].manifests[0].artifact_type
    referrers = repository.list_referrers(plan.subject.digest, artifact_type)
    if len(referrers) != 1:
        return None
    raw = repository.fetch_manifest(referrers[0].digest)
    manifest = parse_manifest(raw)
    if not isinstance(manifest, Manifest):
        return None
    claimed = read_bundle(manifest, name).layers
    for layer in plan.layers:
        one = claimed.get(layer.descriptor.digest)
        if one is None or "root_hash" not in one.facts or one.doubled or one.contradictions:
            return None
    return referrers[0].digest
