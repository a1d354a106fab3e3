"""Removes bundles of ours that nobody needs: superseded ones, and those whose subject is gone.

Only what is recognisably ours goes: a bundle the ledger says we attached, one signed by a key of
the configuration, or one of our own unsigned format. What other parties attached stays.
Subjects that are gone are found by the referrers tags they leave behind and by the ledger; a
registry that indexes referrers itself collects the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from app.catalog.profiles import CREATED, PROFILES, ProfileName
from app.config.model import RegistryConfig, ServiceConfig
from app.errors import ContentMismatch, NotFound, RegistryError, SourceInvalid
from app.oci.derived_tags import DerivedTag
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import Found, walk
from app.oci.manifest import Index, Manifest, parse_manifest
from app.registry.protocols import Registry
from app.registry.repository import Repository
from workers.artifacts.reading import profiles_of, read_bundle
from workers.formats.errors import FormatError
from workers.formats.pkcs7.acceptance import signed_by
from workers.formats.pkcs7.decode import parse
from workers.signing.certificates import CertificateChain
from workers.sweep.findings import (
    MAX_SIGNATURE_BYTES,
    Attached,
    Expectation,
    Subject,
    attached,
    examine_one,
    subjects,
)
from workers.sweep.sweep import Binding

Why = Literal["superseded", "subject-gone"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """One bundle that was removed, or would be in a dry run."""

    repository: str
    subject: Digest
    bundle: Digest
    artifact_type: str
    why: Why


@dataclass(frozen=True, slots=True)
class Remembered:
    """A bundle the ledger says we attached."""

    repository: str
    subject: Digest
    bundle: Digest
    artifact_type: str


@dataclass(slots=True)
class Prune:
    """Prunes one registry.

    ``chains`` are the certificates of all configured signers, ``binding`` tells the one that signs
    a push today.
    """

    config: ServiceConfig
    registry_config: RegistryConfig
    registry: Registry
    chains: tuple[CertificateChain, ...]
    binding: Binding
    remembered: Callable[[str], Iterable[Remembered]]
    dry_run: bool = False

    def run(self, repositories: Iterable[str] = ()) -> Iterator[Pruned]:
        """Yield what goes, as it goes. Raises ``RegistryError`` when the registry fails."""
        chosen = sorted(set(repositories)) or sorted(
            self.registry_config.repositories or self.registry.list_repositories()
        )
        for name in chosen:
            yield from self._repository(Repository(self.registry, name))

    def _repository(self, repository: Repository) -> Iterator[Pruned]:
        try:
            tags = sorted(repository.list_tags())
        except NotFound:
            tags = []
        ours = {each.bundle: each for each in self.remembered(repository.name)}
        done: set[Digest] = set()
        for tag in tags:
            derived = DerivedTag.parse(tag)
            if derived is None:
                yield from self._superseded(repository, tag, ours, done)
            elif derived.lists_referrers and derived.subject is not None:
                yield from self._orphans(repository, tag, derived.subject, ours)
        yield from self._forgotten(repository, ours)

    def _superseded(
        self, repository: Repository, tag: str, ours: dict[Digest, Remembered], done: set[Digest]
    ) -> Iterator[Pruned]:
        try:
            root = repository.fetch_manifest(tag)
            images = [
                found
                for found in walk(root, repository.fetch_manifest)
                if isinstance(found, Found) and found.manifest.digest not in done
            ]
        except (NotFound, SourceInvalid):
            return
        for image in images:
            done.add(image.manifest.digest)
            for name, profile in PROFILES.items():
                if profile.single or profile.dated:
                    for subject in subjects(image, name):
                        yield from self._rivals(repository, tag, subject, name, ours)

    def _rivals(
        self,
        repository: Repository,
        tag: str,
        subject: Subject,
        name: ProfileName,
        ours: dict[Digest, Remembered],
    ) -> Iterator[Pruned]:
        artifact_type = subject.shape.artifact_type
        found = [
            each
            for each in attached(repository, subject.digest, artifact_type)
            if name in profiles_of(each.manifest)[:1]
            and self._is_ours(repository, each, name, ours)
        ]
        if len(found) < 2:
            return
        kept = max(found, key=lambda each: self._rank(repository, tag, subject, each, name, ours))
        for each in found:
            if each is not kept:
                yield self._remove(
                    repository, subject.digest, each.raw.digest, artifact_type, "superseded"
                )

    def _rank(
        self,
        repository: Repository,
        tag: str,
        subject: Subject,
        bundle: Attached,
        name: ProfileName,
        ours: dict[Digest, Remembered],
    ) -> tuple[bool, bool, str, str]:
        """Best last: whole and signed by the bound key, then known to the ledger, then newest."""
        expected = Expectation(
            profiles=(name,),
            chain=self.binding(self.registry.id, repository.name, tag),
            builder_version=self.config.build.builder_version,
        )
        finding = examine_one(repository, subject, expected, name, bundle)
        whole = finding.kind == "complete"
        created = (bundle.manifest.annotations or {}).get(CREATED, "")
        return whole, bundle.raw.digest in ours, created, bundle.raw.digest

    def _orphans(
        self, repository: Repository, tag: str, subject: Digest, ours: dict[Digest, Remembered]
    ) -> Iterator[Pruned]:
        if self._exists(repository, subject):
            return
        try:
            index = parse_manifest(repository.fetch_manifest(tag))
        except (NotFound, SourceInvalid):
            return
        for entry in index.manifests if isinstance(index, Index) else ():
            bundle = self._fetch(repository, entry)
            if bundle is None:
                continue
            for name in profiles_of(bundle.manifest)[:1]:
                if self._is_ours(repository, bundle, name, ours):
                    kind = bundle.manifest.artifact_type or ""
                    yield self._remove(repository, subject, entry.digest, kind, "subject-gone")

    def _forgotten(
        self, repository: Repository, ours: dict[Digest, Remembered]
    ) -> Iterator[Pruned]:
        for each in ours.values():
            if not self._exists(repository, each.subject) and self._exists(repository, each.bundle):
                yield self._remove(
                    repository, each.subject, each.bundle, each.artifact_type, "subject-gone"
                )

    def _remove(
        self,
        repository: Repository,
        subject: Digest,
        bundle: Digest,
        artifact_type: str,
        why: Why,
    ) -> Pruned:
        if not self.dry_run:
            repository.detach(subject, bundle)
        return Pruned(repository.name, subject, bundle, artifact_type, why)

    def _exists(self, repository: Repository, digest: Digest) -> bool:
        try:
            repository.resolve(digest)
        except NotFound:
            return False
        return True

    def _fetch(self, repository: Repository, entry: Descriptor) -> Attached | None:
        try:
            raw = repository.fetch_manifest(entry.digest)
            manifest = parse_manifest(raw)
        except (NotFound, ContentMismatch, SourceInvalid):
            return None
        return Attached(raw, manifest) if isinstance(manifest, Manifest) else None

    def _is_ours(
        self,
        repository: Repository,
        bundle: Attached,
        name: ProfileName,
        ours: dict[Digest, Remembered],
    ) -> bool:
        if bundle.raw.digest in ours or PROFILES[name].ours:
            return True
        claimed = read_bundle(bundle.manifest, name)
        return bool(claimed.layers) and all(
            "signature" in layer.parts
            and self._signed(repository, layer.parts["signature"], layer.facts.get("root_hash", ""))
            for layer in claimed.layers.values()
        )

    def _signed(self, repository: Repository, signature: Descriptor, root_hash: str) -> bool:
        try:
            message = parse(repository.read_blob(signature, max_bytes=MAX_SIGNATURE_BYTES))
            return any(signed_by(message, root_hash, chain.leaf) for chain in self.chains)
        except (FormatError, RegistryError):
            return False
