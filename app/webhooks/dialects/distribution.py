"""CNCF distribution notifications, which GitLab's and many other registries send too.

Envelope of events, ``application/vnd.docker.distribution.events.v1+json`` (2.x) or ``v2`` (3.x);
see https://distribution.github.io/distribution/about/notifications/. Blob pushes, pulls, mounts and
deletes arrive whatever ``ignore.actions`` says, and one push of an image makes many events.
"""

from __future__ import annotations

from pydantic import Field

from app.oci.mediatypes import INDEX_TYPES, MANIFEST_TYPES
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode, decode_part


class _Target(Payload):
    media_type: str | None = Field(default=None, alias="mediaType")
    artifact_type: str | None = Field(default=None, alias="artifactType")
    digest: str | None = None
    repository: str | None = None
    tag: str | None = None


class _Actor(Payload):
    name: str | None = None


class _Event(Payload):
    id: str | None = None
    action: str | None = None
    target: _Target = _Target()
    actor: _Actor = _Actor()


class _Envelope(Payload):
    events: tuple[object, ...]


def parse(delivery: Delivery) -> Parsed:
    """Keep pushes of manifests and indexes."""
    pushes = Pushes()
    for entry in decode(_Envelope, delivery.body, "distribution").events:
        event = decode_part(_Event, entry)
        if event is None:
            pushes.ignore("malformed")
            continue
        target = event.target
        if event.action != "push":
            pushes.ignore("action")
        elif target.media_type not in MANIFEST_TYPES | INDEX_TYPES:
            pushes.ignore("media-type")
        else:
            pushes.add(
                target.repository,
                tag=target.tag,
                digest=target.digest,
                media_type=target.media_type,
                artifact_type=target.artifact_type,
                actor=event.actor.name,
                delivery_id=event.id,
            )
    return pushes.parsed()
