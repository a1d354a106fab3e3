"""One bundle against the registry's content: completeness, digests, identity, signatures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.catalog.profiles import Content
from app.errors import ContentMismatch, NotFound, ResponseInvalid
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import PlannedLayer
from app.oci.manifest import Manifest
from app.registry.repository import Fetcher
from workers.artifacts.reading import ClaimedBundle, ClaimedLayer
from workers.formats.pkcs7.decode import MAX_SIGNATURE_BYTES
from workers.verification.content import excerpt, index_problems, tree_problems
from workers.verification.report import BundleReport
from workers.verification.trust import Trust, judge

#: Two million entries make an index of about 250 MB.
MAX_INDEX_BYTES = 1 << 30

_ABSENT = (NotFound, ContentMismatch, ResponseInvalid)
#: Signature content -> the fact that names the root hash it signs.
_SIGNED: dict[Content, str] = {
    "signature": "root_hash",
    "single-device-signature": "single_device_root_hash",
}


@dataclass(slots=True)
class BundleReader:
    """Checks one bundle and keeps what a rebuild is compared with."""

    repository: Fetcher
    claimed: ClaimedBundle
    layers: Sequence[PlannedLayer]
    report: BundleReport
    trust: Trust
    #: Layer -> root hash as claimed; also of layers whose checks failed.
    roots: dict[Digest, str] = field(default_factory=dict)

    def check(self, subject: Descriptor, manifest: Manifest, signatures_required: bool) -> None:
        """Run every check that needs no layer."""
        self._manifest(subject, manifest)
        for planned in self.layers:
            digest = planned.descriptor.digest
            layer = self.claimed.layers.get(digest)
            if layer is None:
                self.report.error("complete", "the bundle does not mention it", digest)
                continue
            before = len(self.report.findings)
            self._layer(planned, layer, signatures_required)
            clean = all(f.severity != "error" for f in self.report.findings[before:])
            if clean and digest in self.roots:
                self.report.root_hashes[digest] = self.roots[digest]

    def _manifest(self, subject: Descriptor, manifest: Manifest) -> None:
        own = {layer.descriptor.digest for layer in self.layers}
        for digest in self.claimed.layers:
            if digest not in own:
                self.report.error("complete", "the image has no such layer", digest)
        for entry in self.claimed.unknown:
            self.report.error("manifest", f"unknown entry {entry.digest} ({entry.media_type})")
        if manifest.config.digest != Digest.of(b"{}"):
            self.report.error("manifest", "its config is not the empty object")
        if self.claimed.shape.subject == "image":
            source = self.claimed.facts.get("subject_digest", subject.digest)
            if source != subject.digest or (
                manifest.subject is None or manifest.subject.digest != subject.digest
            ):
                self.report.error("subject", f"it is about another manifest than {subject.digest}")

    def _layer(self, planned: PlannedLayer, layer: ClaimedLayer, signatures_required: bool) -> None:
        digest = layer.layer
        for content in sorted(layer.doubled):
            self.report.error("complete", f"{content} is listed twice", digest)
        for fact in sorted(layer.contradictions):
            self.report.error("consistent", f"its annotations disagree about {fact}", digest)
        if layer.facts.get("diff_id", planned.diff_id) != planned.diff_id:
            self.report.error("diff-id", "the diffID is not the image config's", digest)
        required = {part.content for part in self.claimed.shape.parts}
        required -= {"single-device-signature"}
        if not (self.claimed.profile.signed or signatures_required):
            required -= {"signature"}
        for content in sorted(required - set(layer.parts)):
            self.report.error("complete", f"it has no {content}", digest)
        if layer.facts.get("root_hash"):
            self.roots[digest] = layer.facts["root_hash"]
        self.check_content(layer)
        for content, fact in _SIGNED.items():
            if content in layer.parts:
                self._signature(layer, content, layer.facts.get(fact))
        if "signature" not in layer.parts and "signature" not in required:
            self.report.note("signature", "it is not signed", digest)

    def check_content(self, layer: ClaimedLayer) -> None:
        """Check index and tree of a layer, each with the other and with the root hash."""
        index = self._index(layer)
        if index is not None:
            self._tree(layer, index)

    def _index(self, layer: ClaimedLayer) -> bytes | None:
        entry = layer.parts.get("index")
        index = self._read(layer, entry, "index", MAX_INDEX_BYTES) if entry else None
        if index is not None:
            for check, message in index_problems(index, layer.layer):
                self.report.error(check, message, layer.layer)
        return index

    def _tree(self, layer: ClaimedLayer, index: bytes) -> None:
        entry = layer.parts.get("tree")
        if entry is None:
            return
        try:
            with self.repository.fetch_blob(entry) as chunks:
                tree = excerpt(chunks, len(index))
        except _ABSENT as error:
            self.report.error("tree", str(error), layer.layer)
            return
        padding = self.claimed.profile.padding
        root = layer.facts.get("root_hash")
        for check, message in tree_problems(tree, index, layer.layer, root, padding):
            self.report.error(check, message, layer.layer)

    def _signature(self, layer: ClaimedLayer, content: Content, root_hash: str | None) -> None:
        entry = layer.parts[content]
        signature = self._read(layer, entry, "signature", MAX_SIGNATURE_BYTES)
        if signature is None:
            return
        inline = layer.facts.get("signature_base64")
        if inline is not None and inline != base64.b64encode(signature).decode():
            self.report.error("signature", "annotation and blob differ", layer.layer)
        if root_hash is None:
            self.report.error("signature", "no root hash is named", layer.layer)
            return
        verdict = judge(signature, root_hash, self.trust)
        if verdict.signer is not None:
            self.report.signers.add(verdict.signer.subject.rfc4514_string())
        for message in verdict.problems:
            self.report.error("signature", message, layer.layer)
        for message in verdict.notes:
            self.report.note("trust", message, layer.layer)

    def _read(self, layer: ClaimedLayer, entry: Descriptor, what: str, most: int) -> bytes | None:
        if entry.size == 0:
            self.report.error(what, "it has no bytes", layer.layer)
            return None
        try:
            return self.repository.read_blob(entry, max_bytes=most)
        except _ABSENT as error:
            self.report.error(what, str(error), layer.layer)
            return None
