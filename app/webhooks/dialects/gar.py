"""Google Artifact Registry: Pub/Sub push messages of topic ``gcr``.

https://cloud.google.com/artifact-registry/docs/configure-notifications. ``digest`` and ``tag`` are
whole references; their host is not kept.
"""

from __future__ import annotations

import base64
import binascii

from pydantic import Field

from app.errors import PayloadInvalid
from app.oci.reference import Reference
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode


class _Message(Payload):
    data: str
    message_id: str | None = Field(default=None, alias="messageId")


class _Envelope(Payload):
    message: _Message


class _Notice(Payload):
    action: str = ""
    digest: str | None = None
    tag: str | None = None


def parse(delivery: Delivery) -> Parsed:
    """Keep inserted images. Raises ``PayloadInvalid``."""
    message = decode(_Envelope, delivery.body, "Pub/Sub").message
    try:
        data = base64.b64decode(message.data, validate=True)
    except (binascii.Error, ValueError):
        raise PayloadInvalid("message.data is not base64") from None
    notice = decode(_Notice, data, "Artifact Registry")
    pushes = Pushes()
    if notice.action != "INSERT":
        pushes.ignore("action")
        return pushes.parsed()
    try:
        digest = Reference.parse(notice.digest) if notice.digest else None
        tag = Reference.parse(notice.tag) if notice.tag else None
    except ValueError:
        pushes.ignore("malformed")
        return pushes.parsed()
    named = digest or tag
    pushes.add(
        named.repository if named else None,
        tag=tag.tag if tag else None,
        digest=digest.digest if digest else None,
        delivery_id=message.message_id,
    )
    return pushes.parsed()
