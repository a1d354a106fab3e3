"""Sonatype Nexus Repository 3: component webhooks of a docker repository, signed with HMAC-SHA1.

https://help.sonatype.com/en/working-with-hmac-payloads.html. No digest; sent once.
"""

from __future__ import annotations

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode

_COMPONENT = "rm:repository:component"
_ACTIONS = frozenset({"CREATED", "UPDATED"})


class _Component(Payload):
    format: str = ""
    name: str | None = None
    version: str | None = None


class _Event(Payload):
    action: str = ""
    initiator: str | None = None
    component: _Component | None = None


def parse(delivery: Delivery) -> Parsed:
    """Keep created and updated docker components."""
    pushes = Pushes()
    if delivery.header("x-nexus-webhook-id") != _COMPONENT:
        pushes.ignore("event-type")
        return pushes.parsed()
    event = decode(_Event, delivery.body, "nexus")
    if event.component is None:
        pushes.ignore("malformed")
    elif event.action not in _ACTIONS:
        pushes.ignore("action")
    elif event.component.format != "docker":
        pushes.ignore("package-type")
    else:
        pushes.add_reference(
            event.component.name,
            event.component.version,
            # "user/address"; the user may not hold a slash.
            actor=(event.initiator or "").partition("/")[0] or None,
            delivery_id=delivery.header("x-nexus-webhook-delivery"),
        )
    return pushes.parsed()
