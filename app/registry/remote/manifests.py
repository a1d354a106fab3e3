"""Manifests as exact bytes: HEAD, GET, PUT, DELETE (distribution-spec, "Pulling manifests")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from app.errors import ContentMismatch, ManifestTooLarge, NotFound, RegistryError
from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import MAX_MANIFEST_BYTES, RawManifest, parse_manifest
from app.oci.reference import check_repository, check_tag
from app.registry.http.client import Answer, Call, RegistryClient
from app.registry.protocols import PushedManifest

ACCEPT = ", ".join(
    (
        mediatypes.OCI_MANIFEST,
        mediatypes.OCI_INDEX,
        mediatypes.DOCKER_MANIFEST,
        mediatypes.DOCKER_INDEX,
    )
)


@dataclass(frozen=True, slots=True)
class Tagged:
    """What a tag points at, if anything, and the ETag to change it with."""

    manifest: RawManifest | None
    etag: str | None


class Manifests:
    """Manifest requests of one registry."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    @staticmethod
    def pull(repository: str) -> tuple[str, ...]:
        """Return the scopes that reading needs."""
        return (f"repository:{repository}:pull",)

    @staticmethod
    def push_scopes(repository: str) -> tuple[str, ...]:
        """Return the scopes that writing needs."""
        return (f"repository:{repository}:pull,push",)

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """HEAD; where that tells too little, GET."""
        call = self._call("HEAD", repository, reference, self.pull(repository))
        answer = self._client.request(call)
        try:
            digest = Digest(answer.headers.get("docker-content-digest", ""))
            size = int(answer.headers["content-length"])
            media_type = _media_type(answer.headers)
        except (ValueError, KeyError):
            return self.fetch(repository, reference, MAX_MANIFEST_BYTES).descriptor
        if ":" in reference and digest.algorithm == reference.partition(":")[0]:
            _same(call.what, reference, digest)
        if not media_type or not 0 < size < 2**63:
            return self.fetch(repository, reference, MAX_MANIFEST_BYTES).descriptor
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def fetch(self, repository: str, reference: str, max_bytes: int) -> RawManifest:
        """GET and check."""
        return self._fetch(repository, reference, max_bytes)[0]

    def fetch_tag(self, repository: str, tag: str) -> Tagged:
        """GET by tag, with the ETag; absent is not an error."""
        try:
            manifest, answer = self._fetch(repository, tag, MAX_MANIFEST_BYTES)
        except NotFound:
            return Tagged(None, None)
        etag = answer.headers.get("etag")
        return Tagged(manifest, etag if etag and etag.startswith('"') else None)

    def exists(self, repository: str, digest: Digest) -> bool:
        """HEAD by digest."""
        try:
            self._client.request(self._call("HEAD", repository, digest, self.pull(repository)))
        except NotFound:
            return False
        return True

    def push(
        self,
        repository: str,
        manifest: RawManifest,
        reference: str | None,
        conditions: Mapping[str, str] | None = None,
    ) -> PushedManifest:
        """PUT. ``conditions`` are If-Match and the like. Raises ``ManifestTooLarge``."""
        size = len(manifest.data)
        if size > MAX_MANIFEST_BYTES:
            raise ManifestTooLarge(
                f"manifest {manifest.digest} has {size} bytes, over {MAX_MANIFEST_BYTES}"
            )
        headers = {"Content-Type": manifest.media_type, **(conditions or {})}
        call = self._call(
            "PUT",
            repository,
            reference or manifest.digest,
            self.push_scopes(repository),
            headers,
            manifest.data,
            frozenset({200, 201, 202}),
        )
        try:
            answer = self._client.request(call)
        except RegistryError as error:
            if error.details.get("status") == 413:
                raise ManifestTooLarge(f"{call.what}: {size} bytes: {error.message}") from error
            raise
        stored = answer.headers.get("docker-content-digest")
        if stored is not None:
            _same(call.what, manifest.digest, stored)
        return PushedManifest(manifest.digest, _indexed(manifest, answer))

    def delete(self, repository: str, digest: Digest) -> None:
        """DELETE by digest; absent is not an error."""
        scopes = (f"repository:{repository}:delete,pull",)
        ok = frozenset({200, 202, 204, 404})
        self._client.request(self._call("DELETE", repository, digest, scopes, ok=ok))

    def _fetch(self, repository: str, reference: str, max_bytes: int) -> tuple[RawManifest, Answer]:
        call = self._call("GET", repository, reference, self.pull(repository))
        answer = self._client.request(call, max_bytes=max_bytes)
        manifest = RawManifest(_media_type(answer.headers), answer.data)
        if ":" in reference:
            computed = Digest.of(answer.data, reference.partition(":")[0])
            _same(call.what, reference, computed)
        claimed = answer.headers.get("docker-content-digest", "")
        if claimed.startswith("sha256:"):
            _same(call.what, claimed, manifest.digest)
        return manifest, answer

    def _call(
        self,
        method: str,
        repository: str,
        reference: str,
        scopes: tuple[str, ...],
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        ok: frozenset[int] = frozenset({200}),
    ) -> Call:
        check_repository(repository)
        separator = "@" if ":" in reference else ":"
        reference = Digest(reference) if ":" in reference else check_tag(reference)
        return Call(
            method,
            f"/v2/{repository}/manifests/{reference}",
            f"manifest {repository}{separator}{reference}",
            scopes,
            headers if headers is not None else {"Accept": ACCEPT},
            body=(lambda: [data]) if data is not None else None,
            length=len(data or b""),
            ok=ok,
            repository=repository,
        )


def _media_type(headers: httpx.Headers) -> str:
    return str(headers.get("content-type", "")).partition(";")[0].strip()[:255]


def _same(what: str, wanted: str, found: str) -> None:
    if wanted != found:
        raise ContentMismatch(f"{what}: the registry has {found[:150]}, not {wanted}")


def _indexed(manifest: RawManifest, answer: Answer) -> bool:
    """Whether the registry says that it indexed this subject; another one does not count."""
    answered = answer.headers.get("oci-subject")
    if answered is None:
        return False
    subject = parse_manifest(manifest).subject
    return subject is not None and answered == subject.digest
