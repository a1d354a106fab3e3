"""Quay ``repo_push`` notifications: a repository and the tags that moved, never a digest.

https://docs.quay.io/guides/notifications.html. Very old servers send tag -> image id.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode


class _Push(Payload):
    repository: str | None = None
    updated_tags: Mapping[str, object] | tuple[object, ...] | None = None


def parse(delivery: Delivery) -> Parsed:
    """Keep one push for each updated tag; other notifications have no tags and are ignored."""
    push = decode(_Push, delivery.body, "quay")
    pushes = Pushes()
    if push.updated_tags is None:
        pushes.ignore("event-type")
    for tag in push.updated_tags or ():
        if isinstance(tag, str) and tag:
            pushes.add(push.repository, tag=tag)
        else:
            pushes.ignore("malformed")
    return pushes.parsed()
