"""Harbor 2.x webhooks, payload formats Default and CloudEvents (structured).

https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/.
Pushed by digest, ``tag`` repeats the digest. Referrers fire the same event as images do.
"""

from __future__ import annotations

from typing import Any

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode, decode_part

_PUSH = frozenset({"PUSH_ARTIFACT", "harbor.artifact.pushed"})
_OTHER_ACTIONS = ("PULL_ARTIFACT", "DELETE_ARTIFACT", "harbor.artifact.")


class _Resource(Payload):
    digest: str | None = None
    tag: str | None = None


class _Repository(Payload):
    repo_full_name: str | None = None
    namespace: str | None = None
    name: str | None = None


class _Data(Payload):
    resources: tuple[object, ...] = ()
    repository: _Repository = _Repository()


class _Event(Payload):
    type: str
    operator: str | None = None
    #: CloudEvents only.
    id: str | None = None
    event_data: Any = None
    data: Any = None


def parse(delivery: Delivery) -> Parsed:
    """Keep pushed artifacts."""
    event = decode(_Event, delivery.body, "harbor")
    pushes = Pushes()
    if event.type not in _PUSH:
        pushes.ignore("action" if event.type.startswith(_OTHER_ACTIONS) else "event-type")
        return pushes.parsed()
    data = decode_part(_Data, event.event_data or event.data) or _Data()
    repository = data.repository.repo_full_name or "/".join(
        part for part in (data.repository.namespace, data.repository.name) if part
    )
    for at, entry in enumerate(data.resources):
        resource = decode_part(_Resource, entry)
        if resource is None:
            pushes.ignore("malformed")
            continue
        tag = None if resource.tag and ":" in resource.tag else resource.tag
        pushes.add(
            repository,
            tag=tag,
            digest=resource.digest,
            actor=event.operator,
            delivery_id=f"{event.id}/{at}" if event.id else None,
        )
    if not data.resources:
        pushes.ignore("malformed")
    return pushes.parsed()
