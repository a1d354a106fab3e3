"""The cheap layers of the loop guard: what can be told from an event alone.

Our own pushes come back as events. The authoritative layer is after the manifest was fetched
(``app.oci.images``); these save the fetch. Each drop is counted by its reason.
"""

from __future__ import annotations

import re

from app.jobs.push import PushEvent
from app.oci.mediatypes import INDEX_TYPES, MANIFEST_TYPES

#: Referrers fallback tags (distribution-spec) and cosign's, such as ``sha256-<hex>.sig``.
_REFERRER_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{32,128}(?:\.[a-z]{1,16})?\Z")

#: Reasons that are the loop guard's; the others of ``IGNORED`` are not about our own pushes.
GUARDS = frozenset({"own-actor", "referrer-tag", "subject", "artifact-type"})


def drop_reason(event: PushEvent, own_actor: str | None) -> str | None:
    """Return why an event is not worth a look at its manifest, or None."""
    if own_actor is not None and event.actor == own_actor:
        return "own-actor"
    if event.tag is not None and _REFERRER_TAG.match(event.tag):
        return "referrer-tag"
    if event.has_subject:
        return "subject"
    if event.artifact_type is not None:
        return "artifact-type"
    if event.media_type is not None and event.media_type not in MANIFEST_TYPES | INDEX_TYPES:
        return "media-type"
    return None
