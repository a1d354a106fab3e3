"""Referrers: the API where a registry has it, else the fallback tag without lost updates.

Support is believed from the ``OCI-Subject`` answer to a push, not from the status of a GET: some
registries answer 200 with an empty list although they index nothing. The fallback tag is a
read-modify-write of a shared value, so it is guarded three times: a lock shared by our workers,
If-Match where the registry honours it, and reading back what other writers may have undone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from urllib.parse import urlencode

import httpx

from app.errors import (
    AccessRefused,
    ContentMismatch,
    NotFound,
    RegistryError,
    ResponseInvalid,
    SourceInvalid,
    TagImmutable,
    Unauthorized,
    Unavailable,
)
from app.oci import fallback, mediatypes
from app.oci.derived_tags import REFERRERS_GLOB
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import MAX_MANIFEST_BYTES, Index, RawManifest, parse_manifest
from app.registry.http.client import Call, RegistryClient
from app.registry.http.paging import Pages
from app.registry.protocols import PushedManifest
from app.registry.quirks import Quirks
from app.registry.remote.manifests import Manifests, Tagged

#: Entries of one subject that are read at most, over all pages.
MAX_REFERRERS = 10_000
#: Rounds of merging before a busy tag is given up on.
MAX_ROUNDS = 12
#: Entries that are checked for existence when the tag is rewritten anyway.
MAX_CHECKED = 64
#: What "there is no referrers API" looks like besides 404: old registries, front ends, login pages.
_UNSUPPORTED = frozenset({301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 415, 501})


class Referrers:
    """Lists and changes what refers to a subject."""

    def __init__(
        self,
        client: RegistryClient,
        manifests: Manifests,
        quirks: Quirks,
        exclusive: Callable[[str, str, Digest], AbstractContextManager[None]],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``exclusive`` is ``Registry.exclusive``."""
        self._client, self._manifests = client, manifests
        self._quirks, self._exclusive, self._sleep = quirks, exclusive, sleep

    def find(self, repository: str, subject: Digest, kind: str | None) -> list[Descriptor]:
        """Return referrers of ``subject``, of one artifact type or of all."""
        found: list[Descriptor] | None = None
        if self._quirks.referrers != "fallback-tag":
            found = _of_type(self._from_api(repository, subject, kind), kind)
        if not found and self._quirks.referrers != "api":
            tagged = self._tagged(repository, subject)
            entries = fallback.entries_of(tagged.manifest, fallback.fallback_tag(subject))
            found = _of_type(entries, kind)
        return found or []

    def attach(self, repository: str, manifest: RawManifest) -> PushedManifest:
        """Push a manifest and make it findable through its subject.

        Raises ``SourceInvalid`` when it has none, ``TagImmutable`` when the fallback tag is fixed.
        """
        subject = parse_manifest(manifest).subject
        if subject is None:
            raise SourceInvalid(f"manifest {manifest.digest} has no subject to attach it to")
        entry = fallback.entry_of(manifest)
        pushed = self._manifests.push(repository, manifest, None)
        indexed = pushed.subject_indexed
        if self._quirks.referrers == "api" or (indexed and self._quirks.referrers == "auto"):
            return pushed
        self._change(repository, subject.digest, [entry], ())
        return pushed

    def detach(self, repository: str, subject: Digest, digest: Digest) -> None:
        """Remove the entry first, so that nobody finds what is about to vanish; then delete.

        A registry that deletes nothing is good enough where the entry was all there was to find.
        """
        if self._quirks.referrers != "api":
            self._change(repository, subject, (), (digest,))
        try:
            self._manifests.delete(repository, digest)
        except RegistryError as error:
            if error.details.get("status") != 405:
                raise
            if digest in {entry.digest for entry in self.find(repository, subject, None)}:
                raise

    def _from_api(
        self, repository: str, subject: Digest, kind: str | None
    ) -> list[Descriptor] | None:
        query = f"?{urlencode({'artifactType': kind})}" if kind else ""
        target = f"/v2/{repository}/referrers/{subject}{query}"
        call = Call(
            "GET",
            target,
            f"referrers of {repository}@{subject}",
            self._manifests.pull(repository),
            {"Accept": mediatypes.OCI_INDEX},
            repository=repository,
        )
        found: dict[Digest, Descriptor] = {}
        try:
            for page in Pages(self._client, call, MAX_MANIFEST_BYTES):
                if _content_type(page.headers) not in (
                    "",
                    mediatypes.OCI_INDEX,
                    "application/json",
                ):
                    return None
                index = parse_manifest(RawManifest(mediatypes.OCI_INDEX, page.data))
                if not isinstance(index, Index):
                    return None
                found.update((entry.digest, entry) for entry in index.manifests)
                if len(found) > MAX_REFERRERS:
                    raise ResponseInvalid(f"{call.what}: more than {MAX_REFERRERS} referrers")
        except (NotFound, Unauthorized, AccessRefused) as error:
            # A missing API may hide behind a login; the tag will tell.
            if not isinstance(error, NotFound) and self._quirks.referrers == "api":
                raise
            return None
        except SourceInvalid as error:
            raise ResponseInvalid(f"{call.what}: {error.message}") from None
        except RegistryError as error:
            is_page = "page" in error.details
            if is_page or (not error.retryable and error.details.get("status") in _UNSUPPORTED):
                return None
            raise
        return list(found.values())

    def _tagged(self, repository: str, subject: Digest) -> Tagged:
        return self._manifests.fetch_tag(repository, fallback.fallback_tag(subject))

    def _change(
        self,
        repository: str,
        subject: Digest,
        added: Collection[Descriptor],
        removed: Collection[Digest],
    ) -> None:
        with self._exclusive(repository, "referrers", subject):
            for round_ in range(MAX_ROUNDS):
                if round_:
                    self._sleep(random.uniform(0.02, 0.1) * min(round_, 8))  # noqa: S311
                if self._change_once(repository, subject, added, removed):
                    return
        raise Unavailable(
            f"referrers of {repository}@{subject}: other writers undid our update "
            f"{MAX_ROUNDS} times"
        )

    def _change_once(
        self,
        repository: str,
        subject: Digest,
        added: Collection[Descriptor],
        removed: Collection[Digest],
    ) -> bool:
        """Merge and read back; False when another writer interfered."""
        tag = fallback.fallback_tag(subject)
        tagged = self._tagged(repository, subject)
        before = fallback.entries_of(tagged.manifest, tag)
        after = fallback.merged(before, added, removed)
        if after == before:
            return True
        after = self._alive(repository, after, {entry.digest for entry in added})
        if not after and tagged.manifest is not None and self._drop(repository, tagged.manifest):
            return True
        if not self._put(repository, tag, tagged, fallback.encode_entries(after)):
            return False
        now = {
            entry.digest
            for entry in fallback.entries_of(self._tagged(repository, subject).manifest, tag)
        }
        return {entry.digest for entry in added} <= now and not now & set(removed)

    def _put(self, repository: str, tag: str, tagged: Tagged, index: RawManifest) -> bool:
        headers = {"If-None-Match": "*"} if tagged.manifest is None else {}
        if tagged.etag:
            headers = {"If-Match": tagged.etag}
        try:
            self._manifests.push(repository, index, tag, headers)
        except RegistryError as error:
            if fallback.refuses_change(error, conditional=bool(headers)):
                raise TagImmutable(
                    f"{repository}:{tag} may not be changed: {error.message}",
                    advice=f"exclude the tags {REFERRERS_GLOB} from the registry's immutability "
                    "rule, or use a registry that has the referrers API",
                ) from error
            if error.details.get("status") == 412:
                return False
            raise
        return True

    def _alive(
        self, repository: str, entries: list[Descriptor], fresh: Collection[Digest]
    ) -> list[Descriptor]:
        """Drop entries whose manifest is gone, as long as there are few to ask for."""
        if len(entries) > MAX_CHECKED:
            return entries
        return [
            entry
            for entry in entries
            if entry.digest in fresh or self._manifests.exists(repository, entry.digest)
        ]

    def _drop(self, repository: str, index: RawManifest) -> bool:
        """Delete an index that would become empty; False where manifests cannot be deleted."""
        try:
            self._manifests.delete(repository, index.digest)
        except (Unauthorized, ContentMismatch):
            return False
        except RegistryError as error:
            if error.retryable:
                raise
            return False
        return True


def _content_type(headers: httpx.Headers) -> str:
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()


def _of_type(entries: list[Descriptor] | None, kind: str | None) -> list[Descriptor]:
    return [e for e in entries or [] if kind is None or e.artifact_type == kind]
