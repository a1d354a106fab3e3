"""JFrog Artifactory webhooks, domain ``docker``.

https://jfrog.com/help/r/jfrog-platform-administration-documentation/webhooks. The key of
the repository (``docker-local``) is left out: where image names carry it, the endpoint's
``repository_prefix`` adds it, and so can name a virtual repository instead.
"""

from __future__ import annotations

from typing import Any

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode, decode_part


class _Data(Payload):
    repo_key: str | None = None
    name: str | None = None
    sha256: str | None = None
    image_name: str | None = None
    image_type: str | None = None
    tag: str | None = None


class _Event(Payload):
    domain: str = ""
    event_type: str = ""
    data: Any = None


def parse(delivery: Delivery) -> Parsed:
    """Keep pushed images; ``list.manifest.json`` is an index and welcome too."""
    event = decode(_Event, delivery.body, "artifactory")
    pushes = Pushes()
    data = decode_part(_Data, event.data)
    if event.domain != "docker":
        pushes.ignore("event-type")
    elif event.event_type != "pushed":
        pushes.ignore("action")
    elif data is None:
        pushes.ignore("malformed")
    elif data.image_type not in (None, "docker", "oci"):
        pushes.ignore("package-type")
    else:
        tag = data.tag or ""
        pushes.add(
            data.image_name,
            # A push by digest names the digest in the tag's place, with "__" for ":".
            tag=None if tag.startswith(("sha256:", "sha256__")) else tag,
            digest=f"sha256:{data.sha256}" if data.sha256 else None,
        )
    return pushes.parsed()
