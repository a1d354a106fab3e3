"""Descriptors and platforms (OCI image-spec descriptor.md and image-index.md)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.oci.digest import Digest


class Platform(BaseModel):
    """What an image runs on."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    os: str = "linux"
    architecture: str = "unknown"
    variant: str | None = None
    os_version: str | None = Field(default=None, alias="os.version")

    def __str__(self) -> str:
        parts = [self.os, self.architecture]
        return "/".join([*parts, self.variant] if self.variant else parts)


class Descriptor(BaseModel):
    """Media type, digest and size of some content; ``size`` is in bytes.

    Unknown fields are dropped: a descriptor is a reference, exact bytes stay in ``RawManifest``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    media_type: str = Field(alias="mediaType", max_length=255)
    digest: Digest
    size: int = Field(ge=0, lt=2**63)
    annotations: dict[str, str] | None = None
    artifact_type: str | None = Field(default=None, alias="artifactType")
    platform: Platform | None = None
    urls: tuple[str, ...] | None = None

    def wire(self) -> dict[str, object]:
        """Return the JSON object as registries expect it, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
