"""Amazon ECR events by EventBridge, as an API destination posts them.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html. Events may be
lost on the way.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.oci.mediatypes import IMAGE_CONFIG_TYPES
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode, decode_part

_ACTION = "ECR Image Action"


class _Detail(Payload):
    result: str = ""
    action: str = Field(default="", alias="action-type")
    repository: str | None = Field(default=None, alias="repository-name")
    digest: str | None = Field(default=None, alias="image-digest")
    tag: str | None = Field(default=None, alias="image-tag")
    media_type: str | None = Field(default=None, alias="manifest-media-type")
    artifact_media_type: str | None = Field(default=None, alias="artifact-media-type")


class _Event(Payload):
    id: str | None = None
    detail_type: str = Field(alias="detail-type")
    source: str = ""
    detail: Any = None


def add(pushes: Pushes, body: bytes) -> None:
    """Add an EventBridge event, or the reason to ignore it."""
    event = decode(_Event, body, "ECR")
    detail = decode_part(_Detail, event.detail)
    if event.detail_type != _ACTION or event.source != "aws.ecr":
        pushes.ignore("event-type")
    elif detail is None:
        pushes.ignore("malformed")
    elif detail.action != "PUSH" or detail.result != "SUCCESS":
        pushes.ignore("action")
    else:
        artifact = detail.artifact_media_type
        pushes.add(
            detail.repository,
            tag=detail.tag,
            digest=detail.digest,
            media_type=detail.media_type,
            # For an image, this is the media type of its config.
            artifact_type=None if artifact in IMAGE_CONFIG_TYPES else artifact,
            delivery_id=event.id,
        )


def parse(delivery: Delivery) -> Parsed:
    """Keep a successful push."""
    pushes = Pushes()
    add(pushes, delivery.body)
    return pushes.parsed()
