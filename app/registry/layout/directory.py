"""An OCI image layout in a directory, behind the registry protocols (image-spec, image-layout.md).

For publishers who work offline: what is attached here can be copied to a registry later. Tags are
``org.opencontainers.image.ref.name`` annotations of ``index.json``; the directory holds one
repository, so repository names are accepted and ignored. Referrers are found by reading manifests,
and also kept under the fallback tag, because tools that copy layouts look there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from app.errors import ManifestTooLarge, NotFound, RegistryError, ResponseInvalid, SourceInvalid
from app.filelocks import held
from app.oci import fallback, mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest, verified
from app.oci.manifest import MAX_MANIFEST_BYTES, Index, RawManifest, parse_manifest
from app.oci.reference import check_tag
from app.registry.coordination import LocalCoordination
from app.registry.protocols import BlobSource, Coordination, PushedManifest

REF_NAME = "org.opencontainers.image.ref.name"
_MARKER = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20


class LayoutRegistry:
    """A directory with ``oci-layout``, ``index.json`` and ``blobs/``."""

    def __init__(
        self, directory: Path, coordination: Coordination | None = None, *, create: bool = True
    ) -> None:
        """Open a layout; an empty or absent directory becomes one. Raises ``RegistryError``."""
        self._directory = directory
        self._coordination = coordination or LocalCoordination()
        if not (directory / "oci-layout").exists():
            if not create or (directory.is_dir() and any(directory.iterdir())):
                raise RegistryError(f"{directory} is not an OCI image layout")
            (directory / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            self._write(directory / "oci-layout", _MARKER)
            self._save([])

    @property
    def id(self) -> str:
        """``oci``: layouts are not configured."""
        return "oci"

    @property
    def host(self) -> str:
        """``oci:DIRECTORY``."""
        return f"oci:{self._directory}"

    def close(self) -> None:
        """Nothing is kept open."""

    def exclusive(
        self, repository: str, kind: str, subject: Digest
    ) -> AbstractContextManager[None]:
        """Hold a lock of this kind about a subject, among all who share the coordination."""
        return self._coordination.exclusive(f"{kind}:{self.id}:{repository}:{subject}")

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """Find a manifest by tag or digest. Raises ``NotFound``."""
        for entry in self._entries():
            if reference in (entry.digest, (entry.annotations or {}).get(REF_NAME)):
                return entry.model_copy(update={"annotations": None})
        if ":" in reference:
            return self.fetch_manifest(repository, reference).descriptor
        raise NotFound(f"{self.host} has no manifest {reference}")

    def fetch_manifest(
        self, repository: str, reference: str, *, max_bytes: int = MAX_MANIFEST_BYTES
    ) -> RawManifest:
        """Read exact manifest bytes.

        Raises ``NotFound``, ``ContentMismatch``, and ``ResponseInvalid`` over ``max_bytes``.
        """
        by_tag = None if ":" in reference else self.resolve(repository, reference)
        digest = by_tag.digest if by_tag else Digest(reference)
        size = self._size(digest)
        if size > max_bytes:
            raise ResponseInvalid(f"manifest {digest} has {size} bytes, over {max_bytes}")
        blob = Descriptor(media_type="", digest=digest, size=size)
        data = self.read_blob(repository, blob, max_bytes=max_bytes)
        listed = {entry.digest: entry.media_type for entry in self._entries()}
        return RawManifest(listed.get(digest) or _media_type(data), data)

    @contextmanager
    def fetch_blob(self, repository: str, blob: Descriptor) -> Iterator[Iterator[bytes]]:
        """Stream a blob. Raises ``NotFound``, and ``ContentMismatch`` at the end."""
        self._size(blob.digest)
        with self._path(blob.digest).open("rb") as file:
            chunks = iter(lambda: file.read(_CHUNK), b"")
            yield verified(chunks, blob.digest, blob.size)

    def read_blob(self, repository: str, blob: Descriptor, *, max_bytes: int) -> bytes:
        """Read a small blob whole. Raises ``ResponseInvalid`` above ``max_bytes``."""
        if blob.size > max_bytes:
            raise ResponseInvalid(f"blob {blob.digest} has {blob.size} bytes, over {max_bytes}")
        with self.fetch_blob(repository, blob) as chunks:
            return b"".join(chunks)

    def blob_exists(self, repository: str, digest: Digest) -> bool:
        """Whether the file is there."""
        return self._path(digest).is_file()

    def push_blob(self, repository: str, blob: Descriptor, source: BlobSource) -> None:
        """Copy unless present; a file appears only when it is whole and right."""
        if self.blob_exists(repository, blob.digest):
            return
        with source.open() as reader:
            chunks = iter(lambda: reader.read(_CHUNK), b"")
            self._store(self._path(blob.digest), verified(chunks, blob.digest, blob.size))

    def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """All repositories are one here."""
        return self.blob_exists(repository, digest)

    def push_manifest(
        self, repository: str, manifest: RawManifest, reference: str | None = None
    ) -> PushedManifest:
        """Store, list in ``index.json``, and tag when ``reference`` is a tag.

        Raises ``ManifestTooLarge``.
        """
        tag = None if reference is None or ":" in reference else check_tag(reference)
        if len(manifest.data) > MAX_MANIFEST_BYTES:
            raise ManifestTooLarge(f"manifest {manifest.digest} exceeds {MAX_MANIFEST_BYTES} bytes")
        self._write(self._path(manifest.digest), manifest.data)
        entry = fallback.entry_of(manifest)
        names = {REF_NAME: tag} if tag else None
        entry = entry.model_copy(update={"annotations": names})
        with self._lock():
            kept = [e for e in self._entries() if _keep(e, manifest.digest, tag)]
            self._save([*kept, entry])
        return PushedManifest(manifest.digest, subject_indexed=False)

    def delete_manifest(self, repository: str, digest: Digest) -> None:
        """Unlist and remove; absent is not an error."""
        with self._lock():
            self._save([entry for entry in self._entries() if entry.digest != digest])
            self._path(digest).unlink(missing_ok=True)

    def list_referrers(
        self, repository: str, subject: Digest, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Look for manifests with this subject, and under the fallback tag."""
        found: dict[Digest, Descriptor] = {}
        for entry in self._entries():
            if entry.media_type in mediatypes.MANIFEST_TYPES | mediatypes.INDEX_TYPES:
                manifest = self.fetch_manifest(repository, entry.digest)
                parsed = parse_manifest(manifest)
                if parsed.subject is not None and parsed.subject.digest == subject:
                    found[entry.digest] = fallback.entry_of(manifest)
        for entry in self._tagged(repository, subject):
            if self.blob_exists(repository, entry.digest):
                found.setdefault(entry.digest, entry)
        return [e for e in found.values() if artifact_type in (None, e.artifact_type)]

    def attach(self, repository: str, manifest: RawManifest) -> PushedManifest:
        """Push a manifest that has a ``subject``, and list it under the fallback tag.

        Raises ``SourceInvalid`` when it has none.
        """
        subject = parse_manifest(manifest).subject
        if subject is None:
            raise SourceInvalid(f"manifest {manifest.digest} has no subject to attach it to")
        pushed = self.push_manifest(repository, manifest)
        self._retag(repository, subject.digest, [fallback.entry_of(manifest)], [])
        return pushed

    def detach(self, repository: str, subject: Digest, digest: Digest) -> None:
        """Delete a referrer and its entry under the fallback tag."""
        self._retag(repository, subject, [], [digest])
        self.delete_manifest(repository, digest)

    def list_repositories(self) -> Iterator[str]:
        """A layout names no repositories: raises ``NotFound``."""
        raise NotFound(f"{self.host} is a layout, which has no catalog")

    def list_tags(self, repository: str) -> Iterator[str]:
        """All tags."""
        names = ((entry.annotations or {}).get(REF_NAME) for entry in self._entries())
        yield from (name for name in names if name)

    def _tagged(self, repository: str, subject: Digest) -> list[Descriptor]:
        tag = fallback.fallback_tag(subject)
        try:
            return fallback.entries_of(self.fetch_manifest(repository, tag), tag)
        except NotFound:
            return []

    def _retag(
        self,
        repository: str,
        subject: Digest,
        added: list[Descriptor],
        removed: list[Digest],
    ) -> None:
        tag = fallback.fallback_tag(subject)
        with self._lock("referrers.lock"):
            before = self._tagged(repository, subject)
            after = fallback.merged(before, added, removed)
            if after == before:
                return
            old = self.resolve(repository, tag).digest if before else None
            if after:
                self.push_manifest(repository, fallback.encode_entries(after), tag)
            if old is not None:
                self.delete_manifest(repository, old)

    def _entries(self) -> list[Descriptor]:
        path = self._directory / "index.json"
        try:
            with path.open("rb") as file:
                data = file.read(MAX_MANIFEST_BYTES + 1)
            index = parse_manifest(RawManifest(mediatypes.OCI_INDEX, data))
        except FileNotFoundError:
            raise NotFound(f"{self._directory} has no index.json") from None
        except SourceInvalid as error:
            raise ResponseInvalid(f"{path}: {error.message}") from None
        return list(index.manifests) if isinstance(index, Index) else []

    def _save(self, entries: list[Descriptor]) -> None:
        self._write(self._directory / "index.json", fallback.encode_entries(entries).data)

    def _size(self, digest: Digest) -> int:
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"{self.host} has no blob {digest}") from None

    def _path(self, digest: Digest) -> Path:
        return self._directory / "blobs" / digest.algorithm / digest.hex

    def _write(self, path: Path, data: bytes) -> None:
        self._store(path, iter([data]))

    def _store(self, path: Path, chunks: Iterator[bytes]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
        try:
            with partial.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _lock(self, name: str = "index.lock") -> AbstractContextManager[None]:
        """Hold a lock against other processes; its file is not part of the layout's content."""
        return held(self._directory / f".{name}", mode=0o666)


def _keep(entry: Descriptor, digest: Digest, tag: str | None) -> bool:
    """Whether an entry survives a push: a tag names one manifest, untagged entries are unique."""
    name = (entry.annotations or {}).get(REF_NAME)
    if tag is not None and name == tag:
        return False
    return not (entry.digest == digest and name is None)


def _media_type(data: bytes) -> str:
    parsed = parse_manifest(RawManifest("", data))
    if parsed.media_type:
        return parsed.media_type
    return mediatypes.OCI_INDEX if isinstance(parsed, Index) else mediatypes.OCI_MANIFEST
