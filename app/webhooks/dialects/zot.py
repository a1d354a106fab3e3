"""zot's events: CloudEvents over HTTP in binary mode (``Ce-*`` headers), never repeated when lost.

https://zotregistry.dev/ "Events". The whole manifest travels as a string, so referrers and
artifacts are told apart from images without asking the registry.
"""

from __future__ import annotations

from app.errors import SourceInvalid
from app.oci.manifest import Manifest, RawManifest, parse_manifest
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode

_UPDATED = "zotregistry.image.updated"


class _Actor(Payload):
    name: str | None = None


class _Image(Payload):
    name: str | None = None
    reference: str | None = None
    digest: str | None = None
    mediaType: str | None = None  # noqa: N815 - the wire's name
    manifest: str | None = None
    actor: _Actor | None = None


def parse(delivery: Delivery) -> Parsed:
    """Keep updated images."""
    pushes = Pushes()
    kind = delivery.header("ce-type")
    if kind != _UPDATED:
        pushes.ignore("action" if kind == "zotregistry.image.deleted" else "event-type")
        return pushes.parsed()
    image = decode(_Image, delivery.body, "zot")
    subject, artifact_type = _of_manifest(image)
    reference = image.reference or ""
    pushes.add(
        image.name,
        tag=None if ":" in reference else reference,
        digest=image.digest or (reference if ":" in reference else None),
        media_type=image.mediaType,
        artifact_type=artifact_type,
        has_subject=subject,
        actor=image.actor.name if image.actor else None,
        delivery_id=delivery.header("ce-id"),
    )
    return pushes.parsed()


def _of_manifest(image: _Image) -> tuple[bool, str | None]:
    """Return whether the embedded manifest has a subject, and its artifact type."""
    if not image.manifest:
        return False, None
    try:
        document = parse_manifest(RawManifest(image.mediaType or "", image.manifest.encode()))
    except (SourceInvalid, UnicodeEncodeError):
        return False, None
    artifact_type = document.artifact_type if isinstance(document, Manifest) else None
    return document.subject is not None, artifact_type
