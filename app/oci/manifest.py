"""Manifests, indexes and image configs, always beside the exact bytes they were read from.

A manifest's identity is the digest of its bytes (image-spec manifest.md), so ``RawManifest``
travels with every parsed form and nothing is ever re-serialised.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SourceInvalid
from app.oci import mediatypes
from app.oci.descriptor import Descriptor, Platform
from app.oci.digest import DiffID, Digest

#: Registries refuse larger manifests; distribution's own limit.
MAX_MANIFEST_BYTES = 4 << 20
MAX_CONFIG_BYTES = 16 << 20


@dataclass(frozen=True)
class RawManifest:
    """Exact manifest bytes and the media type they were served or will be pushed under."""

    media_type: str
    data: bytes

    @cached_property
    def digest(self) -> Digest:
        """sha256 of the bytes."""
        return Digest.of(self.data)

    @property
    def descriptor(self) -> Descriptor:
        """Descriptor of these bytes."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.data))


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    media_type: str | None = Field(default=None, alias="mediaType")
    artifact_type: str | None = Field(default=None, alias="artifactType")
    annotations: dict[str, str] | None = None
    subject: Descriptor | None = None


class Manifest(_Document):
    """An image or artifact manifest: one config and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...] = ()

    @property
    def is_image(self) -> bool:
        """True for runnable images; artifacts, signatures and referrers are not."""
        return (
            self.subject is None
            and self.artifact_type is None
            and self.config.media_type in mediatypes.IMAGE_CONFIG_TYPES
        )


class Index(_Document):
    """An image index or Docker manifest list."""

    manifests: tuple[Descriptor, ...] = ()


class RootFS(BaseModel):
    """The uncompressed identity of each layer, lowest first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str = "layers"
    diff_ids: tuple[DiffID, ...] = ()


class ImageConfig(BaseModel):
    """The part of an image config that conversion needs (image-spec config.md)."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    os: str = "linux"
    architecture: str = "unknown"
    variant: str | None = None
    os_version: str | None = Field(default=None, alias="os.version")
    rootfs: RootFS = RootFS()

    @property
    def platform(self) -> Platform:
        """The platform this image runs on."""
        return Platform(
            os=self.os,
            architecture=self.architecture,
            variant=self.variant,
            os_version=self.os_version,
        )


def _json_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceInvalid(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise SourceInvalid(f"{what} is not a JSON object")
    return value


def parse_manifest(raw: RawManifest) -> Manifest | Index:
    """Parse manifest bytes by media type, falling back to the fields they hold.

    Raises ``SourceInvalid`` for schema 1, malformed JSON and missing or mistyped fields.
    """
    value = _json_object(raw.data, f"manifest {raw.digest}")
    kind = value.get("mediaType") or raw.media_type
    # A document that claims both lists could be read differently by two readers (CVE-2021-41190).
    if "manifests" in value and ("layers" in value or "config" in value):
        raise SourceInvalid(f"manifest {raw.digest} is both an index and an image manifest")
    try:
        if kind in mediatypes.INDEX_TYPES or "manifests" in value:
            return Index.model_validate(value)
        if kind in mediatypes.MANIFEST_TYPES or "config" in value:
            return Manifest.model_validate(value)
    except ValidationError as error:
        raise SourceInvalid(f"manifest {raw.digest} is malformed: {_first(error)}") from None
    raise SourceInvalid(f"manifest {raw.digest} has unsupported media type {kind!r}")


def parse_image_config(data: bytes) -> ImageConfig:
    """Parse an image config; raises ``SourceInvalid``."""
    try:
        return ImageConfig.model_validate(_json_object(data, "image config"))
    except ValidationError as error:
        raise SourceInvalid(f"image config is malformed: {_first(error)}") from None


def encode(document: dict[str, object]) -> bytes:
    """Serialise a document of ours deterministically: insertion order, no spaces, UTF-8."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
