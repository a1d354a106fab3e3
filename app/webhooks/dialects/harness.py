"""Harness Artifact Registry webhooks, ``X-Harness-Event: artifact.created`` (or ``_created``).

https://developer.harness.io/artifact-registry, "Webhook payload reference". The image is named by
its URL (``host/account/registry/image:tag``), of which the path is kept, or else by its name.
"""

from __future__ import annotations

from app.oci.reference import Reference
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode

_CREATED = frozenset({"artifact.created", "artifact_created"})
_DELETED = frozenset({"artifact.deleted", "artifact_deleted"})
_TYPES = frozenset({"docker", "oci"})


class _Login(Payload):
    uid: str | None = None
    display_name: str | None = None


class _Artifact(Payload):
    name: str | None = None
    tag: str | None = None
    digest: str | None = None
    url: str | None = None


class _Info(Payload):
    type: str = ""
    name: str | None = None
    version: str | None = None
    artifact: _Artifact | None = None


class _Event(Payload):
    trigger: str = ""
    principal: _Login | None = None
    artifact_info: _Info | None = None


def parse(delivery: Delivery) -> Parsed:
    """Keep created container images."""
    event = decode(_Event, delivery.body, "harness")
    pushes = Pushes()
    kind = delivery.header("x-harness-event") or event.trigger
    info = event.artifact_info
    if kind not in _CREATED:
        pushes.ignore("action" if kind in _DELETED else "event-type")
    elif info is None:
        pushes.ignore("malformed")
    elif info.type.lower() not in _TYPES:
        pushes.ignore("package-type")
    else:
        artifact = info.artifact or _Artifact()
        version = info.version or ""
        pushes.add(
            _repository(artifact.url) or artifact.name or info.name,
            tag=artifact.tag or (None if ":" in version else version),
            digest=artifact.digest or (version if ":" in version else None),
            actor=event.principal.uid if event.principal else None,
            delivery_id=delivery.header("x-harness-delivery"),
        )
    return pushes.parsed()


def _repository(url: str | None) -> str | None:
    """Repository of ``[https://]host/path[:tag]``; the host is not kept."""
    text = (url or "").partition("://")[2] or url or ""
    try:
        return Reference.parse(text).repository
    except ValueError:
        return None
