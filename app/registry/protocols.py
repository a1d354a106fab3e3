"""What a client of a registry offers; errors are those of ``app.errors``.

Implementations are ``remote`` (HTTP) and ``layout`` (a folder); what uses them holds one repository
of them, an ``app.registry.repository.Repository``. They are synchronous and safe to share between
threads. All sizes are bytes. Every method may raise ``Unauthorized``, ``RateLimited``,
``Unavailable``, ``ResponseInvalid`` and ``AccessRefused``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import MAX_MANIFEST_BYTES, RawManifest


class BlobSource(Protocol):
    """Opens the content of a blob, again for each attempt of its upload."""

    def open(self) -> BinaryIO:
        """Return a new reader at offset 0; the caller closes it."""
        ...


@dataclass(frozen=True, slots=True)
class PushedManifest:
    """Outcome of a manifest push."""

    digest: Digest
    #: The registry answered ``OCI-Subject``: it indexes referrers itself.
    subject_indexed: bool


class Registry(Protocol):
    """One registry, by configuration. Reading checks content against its digest and size."""

    @property
    def id(self) -> str:
        """The id under which the registry is configured."""
        ...

    @property
    def host(self) -> str:
        """``host[:port]`` as references name it."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...

    def exclusive(
        self, repository: str, kind: str, subject: Digest
    ) -> AbstractContextManager[None]:
        """Hold a lock of this kind about a subject, among all who share the coordination.

        Raises ``Unavailable`` when it cannot be had.
        """
        ...

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """HEAD the manifest. Raises ``NotFound``."""
        ...

    def fetch_manifest(
        self, repository: str, reference: str, *, max_bytes: int = MAX_MANIFEST_BYTES
    ) -> RawManifest:
        """GET exact manifest bytes. Raises ``NotFound``, ``ContentMismatch``."""
        ...

    def fetch_blob(
        self, repository: str, blob: Descriptor
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a blob, resuming broken transfers; ``ContentMismatch`` at the end if it lied."""
        ...

    def read_blob(self, repository: str, blob: Descriptor, *, max_bytes: int) -> bytes:
        """Read a small blob whole. Raises ``ResponseInvalid`` above ``max_bytes``."""
        ...

    def blob_exists(self, repository: str, digest: Digest) -> bool:
        """HEAD a blob."""
        ...

    def push_blob(self, repository: str, blob: Descriptor, source: BlobSource) -> None:
        """Upload unless present. Raises ``ContentMismatch`` when the source is not the blob."""
        ...

    def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Mount from another repository; False when the registry did not (then upload)."""
        ...

    def push_manifest(
        self, repository: str, manifest: RawManifest, reference: str | None = None
    ) -> PushedManifest:
        """PUT by tag, or by digest when ``reference`` is None. Raises ``ManifestTooLarge``."""
        ...

    def delete_manifest(self, repository: str, digest: Digest) -> None:
        """DELETE by digest; absent is not an error."""
        ...

    def list_referrers(
        self, repository: str, subject: Digest, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Referrers API with pagination, else the fallback tag; filtered on our side."""
        ...

    def attach(self, repository: str, manifest: RawManifest) -> PushedManifest:
        """Push a manifest that has a ``subject`` and make it findable, fallback tag included.

        Raises ``TagImmutable`` when the fallback tag may not be updated.
        """
        ...

    def detach(self, repository: str, subject: Digest, digest: Digest) -> None:
        """Delete a referrer and its entry in the fallback tag; absent is not an error."""
        ...

    def list_repositories(self) -> Iterator[str]:
        """All repositories; raises ``NotFound`` where the registry has no catalog."""
        ...

    def list_tags(self, repository: str) -> Iterator[str]:
        """All tags of a repository."""
        ...


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: requests per second, and how many may come at once."""

    per_second: float = 50.0
    burst: int = 100


class Coordination(Protocol):
    """What clients of one registry share across processes; see ``app.registry.coordination``."""

    def throttle(self, host: str, cost: int = 1, *, limit: RateLimit = ...) -> None:
        """Block until the host's shared ``limit`` admits ``cost`` requests."""
        ...

    def penalise(self, host: str, seconds: float) -> None:
        """Make everyone wait: the host answered 429 with this Retry-After."""
        ...

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock by name across processes; raises ``Unavailable`` when it cannot be had."""
        ...
