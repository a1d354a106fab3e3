"""Generic CloudEvents 1.0 over HTTP, binary or structured, with ``data`` as in ``generic``.

CDEvents ``dev.cdevents.artifact.published`` is understood too: its subject's id is a package URL
``pkg:oci/app@sha256:…?repository_url=host/team/app&tag=1.4``.
https://github.com/cloudevents/spec, https://github.com/package-url/purl-spec (type ``oci``).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode, decode_any, decode_part
from app.webhooks.dialects import generic

_PUSHED = "dev.verilayer.image.pushed"
_CDEVENTS = "dev.cdevents.artifact.published"


class _Event(Payload):
    specversion: str
    id: str
    type: str
    data: Any = None


class _Subject(Payload):
    id: str = ""


class _CdEvent(Payload):
    subject: _Subject = _Subject()


def parse(delivery: Delivery) -> Parsed:
    """Keep pushed images."""
    kind, event_id, data = _event(delivery)
    pushes = Pushes()
    if kind.startswith(_CDEVENTS):
        event = decode_part(_CdEvent, data) or _CdEvent()
        _add_package(pushes, event.subject.id, event_id)
    elif kind == _PUSHED:
        push = decode_part(generic.Push, data)
        if push is None:
            pushes.ignore("malformed")
        else:
            generic.add(pushes, push, event_id)
    else:
        pushes.ignore("event-type")
    return pushes.parsed()


def _event(delivery: Delivery) -> tuple[str, str, Any]:
    """Return type, id and data, from the headers (binary mode) or the body (structured mode)."""
    if delivery.header("ce-type"):
        data = decode_any(delivery.body, "CloudEvents")
        return delivery.header("ce-type"), delivery.header("ce-id"), data
    event = decode(_Event, delivery.body, "CloudEvents")
    return event.type, event.id, event.data


def _add_package(pushes: Pushes, url: str, delivery_id: str) -> None:
    if not url.startswith("pkg:oci/"):
        pushes.ignore("package-type")
        return
    path, _, query = url.removeprefix("pkg:oci/").partition("?")
    try:
        qualifiers = parse_qs(query, max_num_fields=20)
    except ValueError:
        pushes.ignore("malformed")
        return
    name, _, digest = path.partition("@")
    location = qualifiers.get("repository_url", [""])[0]
    # The first part of repository_url is the host, which is not kept.
    pushes.add(
        location.partition("/")[2] or unquote(name),
        tag=qualifiers.get("tag", [None])[0],
        digest=unquote(digest) or None,
        delivery_id=delivery_id,
    )
