"""The loop guard: our own pushes come back as events and must not become jobs.

Its layers stand in the order of what they cost. The web asks those that need the event alone, which
saves storing it. The engine asks all of them, because events also come from people and sweeps:
after the event the memory of what we pushed, then the manifest. Only the manifest decides for sure,
since few registries tell who pushed, or what; the layers before it save fetching it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from app.jobs.push import PushEvent
from app.jobs.reasons import Drop
from app.oci.derived_tags import DerivedTag
from app.oci.digest import Digest
from app.oci.images import Reason

#: What of a manifest makes the guard drop its event.
_BY_MANIFEST = {"referrer": Drop.REFERRER, "artifact": Drop.ARTIFACT}


def drop_reason(
    event: PushEvent,
    own_actor: str | None,
    pushed: Callable[[Digest], bool] | None = None,
) -> Drop | None:
    """Return why an event is not worth a look at its manifest, or None.

    ``own_actor`` is the account we push as, in the registry's words. ``pushed`` says whether we
    pushed a digest just now; it is asked last, and may raise.
    """
    if own_actor is not None and event.actor == own_actor:
        return Drop.OWN_ACTOR
    if event.tag is not None and DerivedTag.parse(event.tag) is not None:
        return Drop.DERIVED_TAG
    if event.has_subject:
        return Drop.REFERRER
    if event.artifact_type is not None:
        return Drop.ARTIFACT
    if pushed is not None and event.digest is not None and pushed(event.digest):
        return Drop.OWN_PUSH
    return None


def drop_by_manifest(skipped: Collection[Reason]) -> Drop | None:
    """Return why an event is dropped whose manifest holds nothing to convert, or None.

    ``skipped`` are the reasons for everything below it, in order (``app.oci.images.walk``). All of
    them must be the guard's: an index of images that we cannot convert is not ours.
    """
    drops = [_BY_MANIFEST.get(reason) for reason in skipped]
    return drops[0] if drops and all(drops) else None
