"""Is an image's bundle there, whole, and what we would publish today?

Judges by what the registry holds: manifests, the presence of blobs, the signatures. The builder's
version stands in ``verilayer`` bundles; for other formats it is what the ledger remembers. Indexes
and trees are not downloaded: ``drift`` does that for a share of the images.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from app.catalog.profiles import PROFILES, Content, ManifestShape, ProfileName
from app.errors import ContentMismatch, NotFound, SourceInvalid
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import Found
from app.oci.manifest import Manifest, RawManifest, parse_manifest
from app.registry.repository import Repository
from workers.artifacts.compose import layer_manifests
from workers.artifacts.reading import ClaimedBundle, ClaimedLayer, profiles_of, read_bundle
from workers.formats.errors import FormatError
from workers.formats.pkcs7.acceptance import kernel_findings, signed_by
from workers.formats.pkcs7.decode import parse
from workers.signing.certificates import CertificateChain

#: Worst first: what is said of an image with several profiles.
Kind = Literal["drifted", "broken", "missing", "stale", "complete"]
_ORDER: Sequence[Kind] = get_args(Kind)

#: No signature is larger, in bytes; registries may hold anything.
MAX_SIGNATURE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one image's bundles, and why."""

    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What we would publish for an image today."""

    profiles: tuple[ProfileName, ...]
    #: Certificate of the bound signer; None: bundles are unsigned.
    chain: CertificateChain | None
    builder_version: str
    #: Builder version of the last conversion, as the ledger has it.
    known_version: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What bundles of one shape refer to, and the layers that they must cover."""

    digest: Digest
    shape: ManifestShape
    layers: frozenset[Digest]
    #: The layer, where the subject is a layer's manifest.
    about: Digest | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """A bundle's manifest as found in the registry."""

    raw: RawManifest
    manifest: Manifest


def examine(repository: Repository, image: Found, expected: Expectation) -> Finding:
    """Return the worst finding over all expected profiles. Raises ``RegistryError``."""
    worst = Finding("complete", "as we would publish it today")
    for name in expected.profiles:
        for subject in subjects(image, name):
            found = _examine_subject(repository, subject, expected, name)
            if _ORDER.index(found.kind) < _ORDER.index(worst.kind):
                worst = Finding(found.kind, f"{name}: {found.reason}")
    if worst.kind == "complete" and expected.known_version not in (None, expected.builder_version):
        return Finding("stale", f"built as erofs-utils {expected.known_version}")
    return worst


def attached(repository: Repository, subject: Digest, artifact_type: str) -> list[Attached]:
    """Fetch the referrers of one type; those that are gone or no manifests are left out."""
    found = []
    for descriptor in repository.list_referrers(subject, artifact_type):
        try:
            raw = repository.fetch_manifest(descriptor.digest)
            manifest = parse_manifest(raw)
        except (NotFound, ContentMismatch, SourceInvalid):
            continue
        if isinstance(manifest, Manifest) and manifest.artifact_type == artifact_type:
            found.append(Attached(raw, manifest))
    return found


def subjects(image: Found, name: ProfileName) -> Iterator[Subject]:
    """Yield what manifests of a profile refer to: the image, or each layer's own manifest."""
    layers = {layer.digest: layer for layer in image.parsed.layers}
    for shape in PROFILES[name].manifests:
        if shape.subject == "image":
            yield Subject(image.manifest.digest, shape, frozenset(layers))
        elif shape.subject == "layer-manifest":
            for digest, layer in layers.items():
                own = layer_manifests(layer)[name].digest
                yield Subject(own, shape, frozenset({digest}), about=digest)


def _examine_subject(
    repository: Repository,
    subject: Subject,
    expected: Expectation,
    name: ProfileName,
) -> Finding:
    shape = subject.shape
    what = (
        shape.role if subject.about is None else f"{shape.role} manifest of layer {subject.about}"
    )
    listed = repository.list_referrers(subject.digest, shape.artifact_type)
    every = attached(repository, subject.digest, shape.artifact_type)
    ours = [each for each in every if name in profiles_of(each.manifest)[:1]]
    if not ours:
        return Finding("broken", f"unread {what}") if listed else Finding("missing", f"no {what}")
    if PROFILES[name].single and len(listed) > 1:
        return Finding("broken", f"{len(listed)} {what}s where readers accept one")
    results = [examine_one(repository, subject, expected, name, b) for b in ours]
    # One good bundle is enough where several may stand beside each other.
    return min(results, key=lambda found: -_ORDER.index(found.kind))


def examine_one(
    repository: Repository,
    subject: Subject,
    expected: Expectation,
    name: ProfileName,
    bundle: Attached,
) -> Finding:
    """Judge one bundle under one profile."""
    claimed = read_bundle(bundle.manifest, name, about=subject.about)
    wanted = subject.layers
    parts = _parts(claimed.shape, signed=expected.chain is not None or PROFILES[name].signed)
    problem = _incomplete(claimed, wanted, parts)
    if problem is None:
        needed = (claimed.layers[digest].parts[part] for digest in wanted for part in parts)
        problem = _absent(repository, needed)
    if problem is not None:
        return Finding("broken", problem)
    version = claimed.facts.get("builder_version")
    if version not in (None, expected.builder_version):
        return Finding("stale", f"built as erofs-utils {version}")
    if expected.chain is None or "signature" not in parts:
        return Finding("complete", "whole")
    return _signatures(repository, [claimed.layers[d] for d in wanted], expected.chain)


def _parts(shape: ManifestShape, *, signed: bool) -> list[Content]:
    optional = {"single-device-signature"} | (set() if signed else {"signature"})
    return [part.content for part in shape.parts if part.content not in optional]


def _incomplete(
    claimed: ClaimedBundle, wanted: Collection[Digest], parts: list[Content]
) -> str | None:
    for digest in sorted(wanted):
        layer = claimed.layers.get(digest)
        if layer is None:
            return f"layer {digest} is not covered"
        missing = [part for part in parts if part not in layer.parts]
        if missing:
            return f"layer {digest} has no {missing[0]}"
        if layer.doubled or layer.contradictions:
            return f"layer {digest} is described twice"
    return None


def _absent(repository: Repository, needed: Iterable[Descriptor]) -> str | None:
    for digest in sorted({entry.digest for entry in needed}):
        if not repository.blob_exists(digest):
            return f"blob {digest} is not in the repository"
    return None


def _signatures(
    repository: Repository, layers: Iterable[ClaimedLayer], chain: CertificateChain
) -> Finding:
    for layer in layers:
        root_hash = layer.facts.get("root_hash", "")
        try:
            signature = repository.read_blob(
                layer.parts["signature"], max_bytes=MAX_SIGNATURE_BYTES
            )
            if kernel_findings(signature):
                return Finding("broken", f"signature of layer {layer.layer} is malformed")
            signer = signed_by(parse(signature), root_hash, chain.leaf)
        except (FormatError, NotFound, ContentMismatch) as error:
            return Finding("broken", f"signature of layer {layer.layer}: {error}")
        if signer is None:
            return Finding("stale", f"layer {layer.layer} is not signed by the current key")
    return Finding("complete", "whole and signed by the current key")
