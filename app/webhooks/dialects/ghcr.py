"""GitHub Packages (ghcr.io): ``package`` hooks of repositories, ``registry_package`` of apps.

https://docs.github.com/webhooks/webhook-events-and-payloads#package. Names are lowercase in the
registry, whatever the owner's spelling. GitHub does not repeat a failed delivery by itself.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.oci.mediatypes import IMAGE_CONFIG_TYPES
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode, decode_part

_EVENTS = frozenset({"package", "registry_package"})
_ACTIONS = frozenset({"published", "updated", "created"})
_TYPES = frozenset({"container", "docker"})


class _Owner(Payload):
    login: str = ""


class _Tag(Payload):
    name: str | None = None
    digest: str | None = None


class _Config(Payload):
    media_type: str | None = None


class _Manifest(Payload):
    digest: str | None = None
    media_type: str | None = None
    config: _Config | None = None


class _Metadata(Payload):
    tag: _Tag | None = None
    manifest: _Manifest | None = None


class _Version(Payload):
    version: str | None = None
    name: str | None = None
    metadata: _Metadata | None = Field(default=None, alias="container_metadata")


class _Package(Payload):
    name: str = ""
    namespace: str | None = None
    package_type: str = ""
    owner: _Owner | None = None
    package_version: _Version | None = None


class _Event(Payload):
    action: str = ""
    package: Any = None
    registry_package: Any = None
    sender: _Owner | None = None


def parse(delivery: Delivery) -> Parsed:
    """Keep published versions of container packages."""
    pushes = Pushes()
    if delivery.header("x-github-event") not in _EVENTS:
        pushes.ignore("event-type")
        return pushes.parsed()
    event = decode(_Event, delivery.body, "GitHub package")
    package = decode_part(_Package, event.package or event.registry_package)
    if package is None:
        pushes.ignore("malformed")
    elif event.action not in _ACTIONS:
        pushes.ignore("action")
    elif package.package_type.lower() not in _TYPES:
        pushes.ignore("package-type")
    else:
        _add(pushes, package, event, delivery)
    return pushes.parsed()


def _add(pushes: Pushes, package: _Package, event: _Event, delivery: Delivery) -> None:
    version = package.package_version or _Version()
    metadata = version.metadata or _Metadata()
    tag, manifest = metadata.tag or _Tag(), metadata.manifest or _Manifest()
    owner = package.owner.login if package.owner else package.namespace or ""
    named = version.version or version.name or ""
    pushes.add(
        f"{owner}/{package.name}".lower(),
        # The version of an untagged push is its digest; its tag is empty or repeats the digest.
        tag=tag.name if tag.name and ":" not in tag.name else None,
        digest=manifest.digest or tag.digest or (named if named.startswith("sha256:") else None),
        media_type=manifest.media_type,
        artifact_type=_artifact_type(manifest),
        actor=event.sender.login if event.sender else None,
        delivery_id=delivery.header("x-github-delivery"),
    )


def _artifact_type(manifest: _Manifest) -> str | None:
    """An index has no config; an artifact has one that is not an image's."""
    config = manifest.config.media_type if manifest.config else None
    return None if not config or config in IMAGE_CONFIG_TYPES else config
