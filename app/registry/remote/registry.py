"""A registry over HTTP: ``app.registry.protocols.Registry`` put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import NotFound, RegistryError, ResponseInvalid, Unauthorized
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import MAX_MANIFEST_BYTES, RawManifest
from app.oci.reference import REPOSITORY, TAG, check_repository
from app.registry.http.client import Call, RegistryClient
from app.registry.http.paging import Pages
from app.registry.protocols import BlobSource, Coordination, PushedManifest
from app.registry.quirks import Quirks
from app.registry.remote.manifests import Manifests
from app.registry.remote.referrers import Referrers
from app.registry.transfer.download import Download
from app.registry.transfer.presence import blob_present
from app.registry.transfer.upload import Upload

_PAGE_BYTES = 4 << 20

_Page = TypeVar("_Page", bound=BaseModel)


class _Catalog(BaseModel):
    model_config = ConfigDict(extra="ignore")
    repositories: list[str] | None = None


class _Tags(BaseModel):
    model_config = ConfigDict(extra="ignore")
    tags: list[str] | None = None


class RemoteRegistry:
    """One configured registry; see ``app.registry.factory.open_registry``."""

    def __init__(
        self,
        registry_id: str,
        host: str,
        client: RegistryClient,
        quirks: Quirks,
        coordination: Coordination,
    ) -> None:
        """``host`` is how references name the registry."""
        self._id, self._host, self._client, self._quirks = registry_id, host, client, quirks
        self._coordination = coordination
        self._manifests = Manifests(client)
        self._referrers = Referrers(client, self._manifests, quirks, self.exclusive)

    @property
    def id(self) -> str:
        """The id under which the registry is configured."""
        return self._id

    @property
    def host(self) -> str:
        """``host[:port]`` as references name it."""
        return self._host

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def exclusive(
        self, repository: str, kind: str, subject: Digest
    ) -> AbstractContextManager[None]:
        """Hold a lock of this kind about a subject, among all who share the coordination."""
        return self._coordination.exclusive(f"{kind}:{self._id}:{repository}:{subject}")

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """HEAD the manifest. Raises ``NotFound``."""
        return self._manifests.resolve(repository, reference)

    def fetch_manifest(
        self, repository: str, reference: str, *, max_bytes: int = MAX_MANIFEST_BYTES
    ) -> RawManifest:
        """GET exact manifest bytes. Raises ``NotFound``, ``ContentMismatch``."""
        return self._manifests.fetch(repository, reference, max_bytes)

    def fetch_blob(
        self, repository: str, blob: Descriptor
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a blob, resuming broken transfers; ``ContentMismatch`` at the end if it lied."""
        return self._stream(repository, blob)

    @contextmanager
    def _stream(self, repository: str, blob: Descriptor) -> Iterator[Iterator[bytes]]:
        scopes = self._manifests.pull(check_repository(repository))
        download = Download(self._client, repository, blob, scopes)
        with closing(download.chunks()) as chunks:
            yield chunks

    def read_blob(self, repository: str, blob: Descriptor, *, max_bytes: int) -> bytes:
        """Read a small blob whole. Raises ``ResponseInvalid`` above ``max_bytes``."""
        if blob.size > max_bytes:
            raise ResponseInvalid(
                f"blob {blob.digest} has {blob.size} bytes, at most {max_bytes} are expected here"
            )
        with self.fetch_blob(repository, blob) as chunks:
            return b"".join(chunks)

    def blob_exists(self, repository: str, digest: Digest) -> bool:
        """HEAD a blob."""
        scopes = self._manifests.pull(check_repository(repository))
        return blob_present(self._client, repository, digest, scopes)

    def push_blob(self, repository: str, blob: Descriptor, source: BlobSource) -> None:
        """Upload unless present. Raises ``ContentMismatch`` when the source is not the blob."""
        scopes = self._manifests.push_scopes(check_repository(repository))
        upload = Upload(self._client, self._quirks, repository, blob, source, scopes)
        if not upload.present():
            upload.run()

    def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Mount from another repository; False when the registry did not (then upload)."""
        check_repository(repository)
        check_repository(from_repository)
        call = Call(
            "POST",
            f"/v2/{repository}/blobs/uploads/?mount={digest}&from={from_repository}",
            f"mount of {digest} from {from_repository} in {repository}",
            (*self._manifests.push_scopes(repository), *self._manifests.pull(from_repository)),
            ok=frozenset({201, 202}),
            repository=repository,
        )
        try:
            return self._client.request(call).status == 201
        except Unauthorized:
            # The account may not read the other repository; uploading needs less.
            return False
        except RegistryError as error:
            if error.retryable:
                raise
            return False

    def push_manifest(
        self, repository: str, manifest: RawManifest, reference: str | None = None
    ) -> PushedManifest:
        """PUT by tag, or by digest when ``reference`` is None. Raises ``ManifestTooLarge``."""
        return self._manifests.push(repository, manifest, reference)

    def delete_manifest(self, repository: str, digest: Digest) -> None:
        """DELETE by digest; absent is not an error."""
        self._manifests.delete(repository, digest)

    def list_referrers(
        self, repository: str, subject: Digest, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Referrers API with pagination, else the fallback tag; filtered on our side."""
        return self._referrers.find(check_repository(repository), subject, artifact_type)

    def attach(self, repository: str, manifest: RawManifest) -> PushedManifest:
        """Push a manifest that has a ``subject`` and make it findable, fallback tag included."""
        return self._referrers.attach(check_repository(repository), manifest)

    def detach(self, repository: str, subject: Digest, digest: Digest) -> None:
        """Delete a referrer and its entry in the fallback tag; absent is not an error."""
        self._referrers.detach(check_repository(repository), subject, digest)

    def list_repositories(self) -> Iterator[str]:
        """All repositories; raises ``NotFound`` where the registry has no catalog."""
        call = Call("GET", "/v2/_catalog?n=100", "catalog", ("registry:catalog:*",))
        try:
            for page in Pages(self._client, call, _PAGE_BYTES):
                names = _parse(_Catalog, page.data, call.what).repositories or ()
                yield from (name for name in names if REPOSITORY.match(name))
        except Unauthorized as error:
            raise NotFound(f"the registry has no catalog for this account: {error}") from error
        except RegistryError as error:
            if error.details.get("status") in (400, 405, 501):
                raise NotFound(f"the registry has no catalog: {error}") from error
            raise

    def list_tags(self, repository: str) -> Iterator[str]:
        """All tags of a repository."""
        call = Call(
            "GET",
            f"/v2/{check_repository(repository)}/tags/list?n=100",
            f"tags of {repository}",
            self._manifests.pull(repository),
            repository=repository,
        )
        for page in Pages(self._client, call, _PAGE_BYTES):
            names = _parse(_Tags, page.data, call.what).tags or ()
            yield from (name for name in names if TAG.match(name))


def _parse(model: type[_Page], data: bytes, what: str) -> _Page:
    try:
        return model.model_validate_json(data)
    except ValidationError:
        raise ResponseInvalid(f"{what}: the answer is not a list of names") from None
