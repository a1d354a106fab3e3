"""The referrers fallback tag (distribution-spec, "Referrers Tag Schema"). Pure.

The tag points at an OCI index whose entries are descriptors of everything that refers to a subject.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from app.errors import RegistryError, SourceInvalid
from app.oci import mediatypes
from app.oci.derived_tags import DerivedTag
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import Index, Manifest, RawManifest, encode, parse_manifest

_IMMUTABLE = re.compile(
    r"immutab|TAG_IMMUTABLE|ALREADY_?EXISTS|already exists|locked|overwrite", re.I
)
#: Statuses that registries refuse the update of an immutable tag with.
_IMMUTABLE_STATUS = frozenset({400, 403, 405, 409, 412})


def fallback_tag(subject: Digest) -> str:
    """Return the name of the tag that lists the referrers of a subject."""
    return str(DerivedTag.of(subject))


def entry_of(manifest: RawManifest) -> Descriptor:
    """Return what a referrers list says of a manifest. Raises ``SourceInvalid``."""
    parsed = parse_manifest(manifest)
    kind = parsed.artifact_type
    if kind is None and isinstance(parsed, Manifest):
        kind = parsed.config.media_type
    return Descriptor(
        media_type=manifest.media_type,
        digest=manifest.digest,
        size=len(manifest.data),
        artifact_type=kind,
        annotations=parsed.annotations,
    )


def entries_of(raw: RawManifest | None, tag: str) -> list[Descriptor]:
    """Return the entries of a fallback index, without repetitions; none for None.

    Raises ``RegistryError`` when the tag points at something else, which we must not replace.
    """
    if raw is None:
        return []
    try:
        index = parse_manifest(raw)
    except SourceInvalid as error:
        raise RegistryError(f"fallback tag {tag} holds an unreadable index: {error}") from None
    if not isinstance(index, Index):
        raise RegistryError(
            f"fallback tag {tag} holds an image, not an index of referrers",
            advice="somebody has used the tag for something else; delete it",
        )
    return list({entry.digest: entry for entry in index.manifests}.values())


def merged(
    entries: Collection[Descriptor], added: Collection[Descriptor], removed: Collection[Digest]
) -> list[Descriptor]:
    """Return the entries with some added (once, newest data wins) and some removed."""
    kept = {entry.digest: entry for entry in (*entries, *added)}
    return [entry for digest, entry in kept.items() if digest not in removed]


def encode_entries(entries: Collection[Descriptor]) -> RawManifest:
    """Return the index of these entries."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_INDEX,
        "manifests": [entry.wire() for entry in entries],
    }
    return RawManifest(mediatypes.OCI_INDEX, encode(document))


def refuses_change(error: RegistryError, *, conditional: bool) -> bool:
    """Whether a refusal of the tag's update is an immutable-tag rule.

    ``conditional`` requests may also be refused because somebody else was faster (412).
    """
    status = error.details.get("status")
    if status == 412 and conditional and not _IMMUTABLE.search(str(error.details.get("text", ""))):
        return False
    return status in _IMMUTABLE_STATUS and bool(_IMMUTABLE.search(str(error)))
