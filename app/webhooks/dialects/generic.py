"""For senders of no dialect of their own: a small JSON body, signed with HMAC (as Flux does).

``{"repository": "team/app", "tag": "1.4", "digest": "sha256:…", "id": "…"}``; tag or digest may be
absent, and ``image: host/team/app:1.4`` may stand for the first three.
"""

from __future__ import annotations

from app.oci.reference import Reference
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode


class Push(Payload):
    """What a script sends, and what ``data`` of a generic CloudEvent holds."""

    repository: str | None = None
    tag: str | None = None
    digest: str | None = None
    image: str | None = None
    actor: str | None = None
    id: str | None = None


def add(pushes: Pushes, push: Push, delivery_id: str | None) -> None:
    """Add the push; an ``image`` that is no reference is ignored as malformed."""
    repository, tag, digest = push.repository, push.tag, push.digest
    if push.image:
        try:
            image = Reference.parse(push.image)
        except ValueError:
            pushes.ignore("malformed")
            return
        repository = repository or image.repository
        tag, digest = tag or image.tag, digest or image.digest
    pushes.add(repository, tag=tag, digest=digest, actor=push.actor, delivery_id=delivery_id)


def parse(delivery: Delivery) -> Parsed:
    """Keep the push."""
    push = decode(Push, delivery.body, "generic")
    pushes = Pushes()
    add(pushes, push, push.id)
    return pushes.parsed()
