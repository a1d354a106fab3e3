"""Azure Container Registry webhooks.

https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference. A new
webhook sends ``{"action": "ping"}``; Helm charts and deletes come as other actions.
"""

from __future__ import annotations

from pydantic import Field

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode


class Target(Payload):
    """What was pushed."""

    media_type: str | None = Field(default=None, alias="mediaType")
    digest: str | None = None
    repository: str | None = None
    tag: str | None = None


class Actor(Payload):
    """Who pushed."""

    name: str | None = None


class Event(Payload):
    """The webhook's body, which is also ``data`` of an Event Grid event."""

    id: str | None = None
    action: str = ""
    target: Target | None = None
    actor: Actor | None = None


def add(pushes: Pushes, event: Event, delivery_id: str | None) -> None:
    """Add a push event, or the reason to ignore it."""
    if event.action != "push":
        pushes.ignore("event-type" if event.action == "ping" else "action")
    elif event.target is None:
        pushes.ignore("malformed")
    else:
        pushes.add(
            event.target.repository,
            tag=event.target.tag,
            digest=event.target.digest,
            media_type=event.target.media_type,
            actor=event.actor.name if event.actor else None,
            delivery_id=delivery_id,
        )


def parse(delivery: Delivery) -> Parsed:
    """Keep a push."""
    event = decode(Event, delivery.body, "acr")
    pushes = Pushes()
    add(pushes, event, event.id)
    return pushes.parsed()
