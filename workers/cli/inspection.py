"""Reads what ``verilayer inspect`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.errors import NotConvertible, SourceInvalid
from app.oci.descriptor import Descriptor
from app.oci.images import Found, Skipped, walk
from app.oci.manifest import Manifest, parse_manifest
from app.registry.repository import Repository
from workers.artifacts.reading import profiles_of, read_bundle
from workers.images.plan import plan_of


def inspect_reference(repository: Repository, target: str) -> dict[str, Any]:
    """Describe everything below a reference. Raises registry errors and ``SourceInvalid``."""
    raw = repository.fetch_manifest(target)
    return {
        "reference": str(repository),
        "digest": raw.digest,
        "media_type": raw.media_type,
        "manifests": [_one(repository, one) for one in walk(raw, repository.fetch_manifest)],
    }


def _one(repository: Repository, one: Found | Skipped) -> dict[str, Any]:
    if isinstance(one, Skipped):
        return {
            "digest": one.digest,
            "platform": str(one.platform or ""),
            "convertible": False,
            "reason": one.reason,
            "message": one.message,
            "layers": [],
            "referrers": [],
        }
    described: dict[str, Any] = {
        "digest": one.manifest.digest,
        "platform": str(one.platform or ""),
        "convertible": True,
        "reason": "",
        "message": "",
        "layers": [layer.wire() for layer in one.parsed.layers],
    }
    try:
        plan = plan_of(repository, one.manifest)
        described["platform"] = str(plan.platform)
    except NotConvertible as error:
        described |= {"convertible": False, "reason": error.reason, "message": error.message}
    except SourceInvalid as error:
        described |= {"convertible": False, "reason": error.code, "message": error.message}
    described["referrers"] = [
        _referrer(repository, referrer)
        for referrer in repository.list_referrers(one.manifest.digest)
    ]
    return described


def _referrer(repository: Repository, referrer: Descriptor) -> dict[str, Any]:
    described: dict[str, Any] = {
        "digest": referrer.digest,
        "artifact_type": referrer.artifact_type,
        "size": referrer.size,
        "profile": None,
        "layers": {},
    }
    parsed = parse_manifest(repository.fetch_manifest(referrer.digest))
    if not isinstance(parsed, Manifest):
        return described
    names = profiles_of(parsed)
    if names:
        described["profile"] = names[0]
        claimed = read_bundle(parsed, names[0])
        described["layers"] = {
            digest: {
                **layer.facts,
                **{content: part.digest for content, part in layer.parts.items()},
            }
            for digest, layer in claimed.layers.items()
        }
    return described


def to_text(found: dict[str, Any]) -> str:
    """Return the description for people."""
    return "\n".join(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['reference']}@{found['digest']}"
    for one in found["manifests"]:
        yield f"  {one['platform'] or 'manifest'}  {one['digest']}"
        if not one["convertible"]:
            yield f"    not convertible, {one['reason']}: {one['message']}"
        for layer in one["layers"]:
            yield f"    layer {layer['digest']}  {layer['size']} bytes  {layer['mediaType']}"
        for referrer in one["referrers"]:
            yield f"    {referrer['profile'] or 'referrer'}  {referrer['digest']}"
            yield f"      {referrer['artifact_type']}"
            for digest, facts in referrer["layers"].items():
                yield f"      {digest[7:19]}  root {facts.get('root_hash', '-')}"
