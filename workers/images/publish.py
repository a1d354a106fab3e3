"""Attaches bundles: check, then skip or attach, under one lock per subject.

Two workers may finish the same image at once, and readers of some profiles fail the *pull* when
they find two bundles; so what is there already is looked at inside the lock, and an old bundle is
removed only after its digest was seen there.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from app.catalog.profiles import PROFILES, ProfileName
from app.errors import ContentMismatch, NotFound
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.mediatypes import OCTET_STREAM
from app.registry.repository import Repository
from workers.artifacts.compose import Bundle
from workers.images.placement import Placement, tags_of

#: What to do with another bundle under the same artifact type.
Existing = Literal["keep", "replace"]
Action = Literal["attached", "present", "replaced", "kept"]


@dataclass(frozen=True, slots=True)
class Published:
    """What became of one bundle."""

    profile: ProfileName
    role: str
    digest: Digest
    #: ``kept``: another bundle under this type was there and was left alone.
    action: Action
    #: Bundles that were removed in favour of this one.
    removed: tuple[Digest, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Bytes:
    data: bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def publish(
    repository: Repository,
    bundles: Sequence[Bundle],
    *,
    placement: Placement,
    existing: Existing = "keep",
) -> list[Published]:
    """Publish the bundles of one image, in order; doing it again changes nothing.

    Indexes and trees must be in ``repository`` already: ``ContentMismatch`` names those that are
    not, before anything is attached. ``existing`` decides about *another* bundle of a profile whose
    readers accept one only: ``keep`` leaves it, ``replace`` removes it in the configured order.
    """
    _check_stored(repository, bundles)
    published = []
    for bundle in bundles:
        subject = bundle.subject or bundle.manifest.digest
        with repository.exclusive("bundle", subject):
            published.append(_publish_one(repository, bundle, placement, existing))
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
    existing: Existing,
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
    if rivals and existing == "keep":
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
        repository.push_blob(blob, _Bytes(data))
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
