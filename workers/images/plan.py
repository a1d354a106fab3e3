"""Reads what is to be converted: one image's manifest and config, as a plan."""

from __future__ import annotations

from app.errors import NotConvertible
from app.oci.digest import Digest
from app.oci.images import ImagePlan, plan_image
from app.oci.manifest import (
    MAX_CONFIG_BYTES,
    Manifest,
    RawManifest,
    parse_image_config,
    parse_manifest,
)
from app.registry.repository import Fetcher


def read_plan(repository: Fetcher, digest: Digest) -> ImagePlan:
    """Fetch one image's manifest and config and plan it.

    This is the authoritative loop guard: whatever has a subject, an artifact type or another config
    raises ``NotConvertible``. Raises ``SourceInvalid`` and registry errors.
    """
    return plan_of(repository, repository.fetch_manifest(digest))


def plan_of(repository: Fetcher, raw: RawManifest) -> ImagePlan:
    """Plan an image whose manifest was read already.

    Raises ``NotConvertible``, ``SourceInvalid`` and registry errors.
    """
    parsed = parse_manifest(raw)
    if not isinstance(parsed, Manifest) or not parsed.is_image:
        raise NotConvertible("not-an-image", f"manifest {raw.digest} is no image")
    data = repository.read_blob(parsed.config, max_bytes=MAX_CONFIG_BYTES)
    return plan_image(raw, parse_image_config(data))
