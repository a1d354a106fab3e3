"""One repository of a registry: what everything above the client is given.

The pair of client and name is made once, where a reference or a job is opened; from then on nothing
can read from one repository and write to another by passing the wrong name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import MAX_MANIFEST_BYTES, RawManifest
from app.registry.protocols import BlobSource, PushedManifest, Registry


class Fetcher(Protocol):
    """Reads content of one repository, checked against its digest and size."""

    def fetch_manifest(self, reference: str, *, max_bytes: int = MAX_MANIFEST_BYTES) -> RawManifest:
        """GET exact manifest bytes. Raises ``NotFound``, ``ContentMismatch``."""
        ...

    def fetch_blob(self, blob: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a blob, resuming broken transfers; ``ContentMismatch`` at the end if it lied."""
        ...

    def read_blob(self, blob: Descriptor, *, max_bytes: int) -> bytes:
        """Read a small blob whole. Raises ``ResponseInvalid`` above ``max_bytes``."""
        ...


class Pusher(Protocol):
    """Writes blobs to one repository."""

    def push_blob(self, blob: Descriptor, source: BlobSource) -> None:
        """Upload unless present. Raises ``ContentMismatch`` when the source is not the blob."""
        ...


@dataclass(frozen=True, slots=True)
class Repository:
    """A ``Fetcher`` and ``Pusher``, and what else a registry does in one repository.

    Methods raise what those of ``Registry`` raise; who opened the registry closes it.
    """

    registry: Registry
    name: str

    def __str__(self) -> str:
        """``host/name``, as references begin."""
        return f"{self.registry.host}/{self.name}"

    def exclusive(self, kind: str, subject: Digest) -> AbstractContextManager[None]:
        """Hold a lock of this kind about a subject, among all who share the coordination."""
        return self.registry.exclusive(self.name, kind, subject)

    def resolve(self, reference: str) -> Descriptor:
        """HEAD the manifest. Raises ``NotFound``."""
        return self.registry.resolve(self.name, reference)

    def fetch_manifest(self, reference: str, *, max_bytes: int = MAX_MANIFEST_BYTES) -> RawManifest:
        """GET exact manifest bytes. Raises ``NotFound``, ``ContentMismatch``."""
        return self.registry.fetch_manifest(self.name, reference, max_bytes=max_bytes)

    def fetch_blob(self, blob: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a blob, resuming broken transfers; ``ContentMismatch`` at the end if it lied."""
        return self.registry.fetch_blob(self.name, blob)

    def read_blob(self, blob: Descriptor, *, max_bytes: int) -> bytes:
        """Read a small blob whole. Raises ``ResponseInvalid`` above ``max_bytes``."""
        return self.registry.read_blob(self.name, blob, max_bytes=max_bytes)

    def blob_exists(self, digest: Digest) -> bool:
        """HEAD a blob."""
        return self.registry.blob_exists(self.name, digest)

    def push_blob(self, blob: Descriptor, source: BlobSource) -> None:
        """Upload unless present. Raises ``ContentMismatch`` when the source is not the blob."""
        self.registry.push_blob(self.name, blob, source)

    def mount_blob(self, digest: Digest, origin: Repository) -> bool:
        """Mount from another repository; False when the registry did not (then upload)."""
        return self.registry is origin.registry and self.registry.mount_blob(
            self.name, digest, origin.name
        )

    def push_manifest(self, manifest: RawManifest, reference: str | None = None) -> PushedManifest:
        """PUT by tag, or by digest when ``reference`` is None. Raises ``ManifestTooLarge``."""
        return self.registry.push_manifest(self.name, manifest, reference)

    def delete_manifest(self, digest: Digest) -> None:
        """DELETE by digest; absent is not an error."""
        self.registry.delete_manifest(self.name, digest)

    def list_referrers(self, subject: Digest, artifact_type: str | None = None) -> list[Descriptor]:
        """Referrers API with pagination, else the fallback tag; filtered on our side."""
        return self.registry.list_referrers(self.name, subject, artifact_type)

    def attach(self, manifest: RawManifest) -> PushedManifest:
        """Push a manifest that has a ``subject`` and make it findable, fallback tag included.

        Raises ``TagImmutable`` when the fallback tag may not be updated.
        """
        return self.registry.attach(self.name, manifest)

    def detach(self, subject: Digest, digest: Digest) -> None:
        """Delete a referrer and its entry in the fallback tag; absent is not an error."""
        self.registry.detach(self.name, subject, digest)

    def list_tags(self) -> Iterator[str]:
        """All tags."""
        return self.registry.list_tags(self.name)
