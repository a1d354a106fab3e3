"""Copies content between repositories: blobs, and images with everything attached to them.

Every blob that cannot be mounted passes through the spool: it is counted there, and an upload that
breaks goes on from the middle. Digests stay what they are, so signatures and bundles stay valid.
What a copy leaves out is lost to its readers: referrers of referrers and the layers' own manifests
of ``rfc-layer`` come along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import get_args

from app.catalog.vocabulary import Reuse
from app.errors import NotFound, RegistryError
from app.oci import mediatypes
from app.oci.derived_tags import DerivedTag
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import Index, Manifest, RawManifest, parse_manifest
from app.registry.repository import Repository
from app.registry.transfer.sources import FileSource
from workers.artifacts.compose import layer_manifests
from workers.layers.spool import Spool

#: Bundles are one level below an image; signatures of bundles another.
MAX_DEPTH = 4


def ensure_blobs(
    source: Repository, target: Repository, blobs: Iterable[Descriptor], spool: Spool
) -> Reuse | None:
    """Make blobs that were pushed to ``source`` exist in ``target``, both of one registry.

    Returns the costliest way it took; None when a blob is in neither. Raises registry errors and
    ``SpoolExhausted``.
    """
    ways: set[Reuse] = {"reused"}
    for blob in blobs:
        if target.blob_exists(blob.digest):
            continue
        if source == target or not source.blob_exists(blob.digest):
            return None
        ways.add(_transfer(source, target, blob, spool))
    return next(how for how in get_args(Reuse) if how in ways)


def _transfer(source: Repository, target: Repository, blob: Descriptor, spool: Spool) -> Reuse:
    if target.mount_blob(blob.digest, source):
        return "mounted"
    with spool.reserve(blob.size) as lease:
        file = lease.create("copy")
        with source.fetch_blob(blob) as chunks:
            for chunk in chunks:
                file.append(chunk)
        target.push_blob(blob, FileSource(file.path))
    return "copied"


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did."""

    root: Digest
    manifests: tuple[Digest, ...]
    referrers: tuple[Digest, ...]
    tags: tuple[str, ...]
    blobs_copied: int
    blobs_present: int


@dataclass(slots=True)
class Copier:
    """Copies from one repository to another; doing it again transfers only what is missing."""

    source: Repository
    target: Repository
    spool: Spool
    #: Whether what refers to a manifest comes along.
    attached: bool = True
    _done: set[Digest] = field(default_factory=set)
    _referrers: list[Digest] = field(default_factory=list)
    _tags: list[str] = field(default_factory=list)
    _source_tags: list[str] | None = None
    _copied: int = 0
    _present: int = 0

    def copy(self, reference: str, tag: str | None) -> Copied:
        """Copy a tag or digest, under ``tag`` or by digest alone.

        The tag is written last: whoever sees it finds everything below it, bundles included. Raises
        registry errors of either side and ``SpoolExhausted``.
        """
        root = self.source.fetch_manifest(reference)
        self.manifest(root)
        if tag is not None:
            self.target.push_manifest(root, tag)
        return Copied(
            root.digest,
            tuple(each for each in self._done if each not in self._referrers),
            tuple(self._referrers),
            tuple(self._tags),
            self._copied,
            self._present,
        )

    def manifest(self, raw: RawManifest, depth: int = 0) -> None:
        """Copy what a manifest lists, then itself, by digest.

        Raises ``RegistryError``, also for nesting that is too deep, and ``SpoolExhausted``.
        """
        if raw.digest in self._done:
            return
        if depth > MAX_DEPTH:
            raise RegistryError(f"{raw.digest} is nested deeper than {MAX_DEPTH}")
        self._done.add(raw.digest)
        parsed = parse_manifest(raw)
        if isinstance(parsed, Index):
            for child in parsed.manifests:
                self.manifest(self._fetch(child.digest), depth + 1)
        else:
            self._blobs(parsed)
        if parsed.subject is None:
            self.target.push_manifest(raw)
        else:
            self._referrers.append(raw.digest)
            self.target.attach(raw)
        if self.attached:
            self._referring(raw, depth)
            if isinstance(parsed, Manifest) and parsed.is_image:
                self._layer_graphs(parsed, depth)

    def _referring(self, raw: RawManifest, depth: int) -> None:
        for referrer in self.source.list_referrers(raw.digest):
            self.manifest(self._fetch(referrer.digest), depth + 1)
        for tag in self._deterministic_tags(raw.digest):
            tagged = self._fetch(tag)
            self.manifest(tagged, depth + 1)
            self.target.push_manifest(tagged, tag)
            self._tags.append(tag)

    def _deterministic_tags(self, digest: Digest) -> Iterator[str]:
        """Tags about a digest; the one that lists its referrers is made by attaching them."""
        for tag in self._all_tags():
            derived = DerivedTag.parse(tag)
            if derived and derived.is_about(digest) and not derived.lists_referrers:
                yield tag

    def _all_tags(self) -> list[str]:
        if self._source_tags is None:
            try:
                self._source_tags = list(self.source.list_tags())
            except NotFound:
                self._source_tags = []
        return self._source_tags

    def _layer_graphs(self, image: Manifest, depth: int) -> None:
        for layer in image.layers:
            for own in layer_manifests(layer).values():
                with suppress(NotFound):
                    self.manifest(self._fetch(own.digest), depth + 1)

    def _fetch(self, reference: str) -> RawManifest:
        return self.source.fetch_manifest(reference)

    def _blobs(self, manifest: Manifest) -> None:
        entries = {entry.digest: entry for entry in (manifest.config, *manifest.layers)}
        for entry in entries.values():
            if entry.media_type not in mediatypes.FOREIGN_LAYERS:
                self._blob(entry)

    def _blob(self, blob: Descriptor) -> None:
        if self.target.blob_exists(blob.digest):
            self._present += 1
            return
        _transfer(self.source, self.target, blob, self.spool)
        self._copied += 1
