"""Which bundle of an image a node uses, and what of it is believed.

Every layer must have index and tree; a signature that is there must verify, whatever the policy. An
unsigned layer is believed only after its index was rebuilt from the tar and found equal, for which
the bundle must say which builder it equals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.catalog.builders import offered
from app.catalog.profiles import CREATED, PROFILES, ProfileName
from app.catalog.vocabulary import TrustPolicy
from app.errors import (
    ContentMismatch,
    NotFound,
    RegistryError,
    SourceInvalid,
    VerificationFailed,
)
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import ImagePlan, PlannedLayer
from app.oci.manifest import Manifest, RawManifest, parse_manifest
from app.registry.repository import Repository
from workers.artifacts.reading import ClaimedBundle, ClaimedLayer, profiles_of, read_bundle
from workers.formats.pkcs7.decode import MAX_SIGNATURE_BYTES
from workers.verification.trust import Trust, judge

#: Profiles that a node can use, the preferred one first.
USABLE: tuple[ProfileName, ...] = tuple(
    sorted(
        (name for name, profile in PROFILES.items() if profile.usable_by_nodes),
        key=lambda name: -PROFILES[name].node_preference,
    )
)


@dataclass(frozen=True, slots=True)
class LayerClaim:
    """One layer and what its bundle gives; ``signer`` is set when a trusted signature verified."""

    planned: PlannedLayer
    index: Descriptor
    tree: Descriptor
    root_hash: str
    #: Root hash of the single-device layout, where the bundle states it.
    single_device_root_hash: str | None
    signer: str | None
    #: Release of erofs-utils to rebuild the index as; always set where ``signer`` is not.
    builder_version: str | None


@dataclass(frozen=True, slots=True)
class ChosenBundle:
    """A usable bundle: one claim for each distinct layer of the image."""

    digest: Digest
    profile: ProfileName
    layers: tuple[LayerClaim, ...]

    @property
    def signed(self) -> bool:
        """Whether every layer has a verified signature."""
        return all(layer.signer is not None for layer in self.layers)


def choose_bundle(
    repository: Repository, plan: ImagePlan, trust: Trust, policy: TrustPolicy
) -> ChosenBundle | None:
    """Find the best bundle: a signed one if there is any, else an unsigned one if allowed.

    None when the image has no bundle and the policy does not insist. Raises ``VerificationFailed``
    with every reason when there are bundles and none may be used, and registry errors.
    """
    unsigned: ChosenBundle | None = None
    reasons: list[str] = []
    for raw, profile in _candidates(repository, plan.subject.digest):
        try:
            chosen = _read(repository, plan, raw, profile, trust)
        except (VerificationFailed, SourceInvalid) as error:
            reasons.append(f"{profile} {raw.digest}: {error.message}")
            continue
        if chosen.signed:
            return chosen
        unsigned = unsigned or chosen
    if policy == "require-signed" and (unsigned or not reasons):
        reasons.append("no bundle has a trusted signature for every layer")
    if policy == "prefer-signed" and unsigned and not reasons:
        return unsigned
    if reasons:
        raise VerificationFailed(
            f"image {plan.subject.digest}: {'; '.join(reasons)}",
            advice="check --trust, or convert the image again",
        )
    return None


def _candidates(
    repository: Repository, subject: Digest
) -> Iterator[tuple[RawManifest, ProfileName]]:
    """Bundles by preference of profile, the newest first among those of one."""
    types = {kind for name in USABLE for kind in PROFILES[name].artifact_types}
    found: list[tuple[int, str, RawManifest, ProfileName]] = []
    for each in repository.list_referrers(subject):
        if each.artifact_type not in types:
            continue
        try:
            raw = repository.fetch_manifest(each.digest)
            manifest = parse_manifest(raw)
        except (SourceInvalid, NotFound, ContentMismatch):
            continue  # anybody may attach nonsense; it must not hide a good bundle
        if not isinstance(manifest, Manifest) or manifest.subject is None:
            continue
        profile = next((name for name in profiles_of(manifest) if name in USABLE), None)
        if profile is not None and manifest.subject.digest == subject:
            created = (manifest.annotations or {}).get(CREATED, "")
            found.append((-USABLE.index(profile), created, raw, profile))
    for _, _, raw, profile in sorted(found, key=lambda one: one[:2], reverse=True):
        yield raw, profile


def _read(
    repository: Repository,
    plan: ImagePlan,
    raw: RawManifest,
    profile: ProfileName,
    trust: Trust,
) -> ChosenBundle:
    manifest = parse_manifest(raw)
    assert isinstance(manifest, Manifest)
    claimed = read_bundle(manifest, profile)
    layers = []
    for planned in plan.layers:
        layer = claimed.layers.get(planned.descriptor.digest)
        if layer is None:
            raise VerificationFailed(f"nothing about layer {planned.descriptor.digest}")
        layers.append(_claim(repository, claimed, layer, planned, trust))
    return ChosenBundle(raw.digest, profile, tuple(layers))


def _claim(
    repository: Repository,
    claimed: ClaimedBundle,
    layer: ClaimedLayer,
    planned: PlannedLayer,
    trust: Trust,
) -> LayerClaim:
    name = layer.layer
    if layer.doubled or layer.contradictions:
        what = sorted(map(str, layer.doubled | layer.contradictions))
        raise VerificationFailed(f"layer {name} has contradictory {', '.join(what)}")
    index, tree = layer.parts.get("index"), layer.parts.get("tree")
    root_hash = layer.facts.get("root_hash")
    if index is None or tree is None or root_hash is None:
        raise VerificationFailed(f"layer {name} lacks its index, its tree or its root hash")
    if layer.facts.get("diff_id", planned.diff_id) != planned.diff_id:
        raise VerificationFailed(f"layer {name}: its diffID is not the image config's")
    signature = layer.parts.get("signature")
    signer = None
    if signature is not None:
        signer = _signer(repository, signature, root_hash, trust)
    version = claimed.facts.get("builder_version")
    if signer is None and version not in offered():
        raise VerificationFailed(
            f"layer {name} has no trusted signature, and builder {version!r} cannot be repeated"
        )
    return LayerClaim(
        planned, index, tree, root_hash,
        layer.facts.get("single_device_root_hash"), signer, version,
    )  # fmt: skip


def _signer(
    repository: Repository, signature: Descriptor, root_hash: str, trust: Trust
) -> str | None:
    """Subject of who signed; None where no trust was given. Raises ``VerificationFailed``."""
    try:
        data = repository.read_blob(signature, max_bytes=MAX_SIGNATURE_BYTES)
    except RegistryError as error:
        if error.retryable:
            raise
        raise VerificationFailed(f"signature {signature.digest}: {error.message}") from None
    verdict = judge(data, root_hash, trust)
    if not trust.anchors:
        return None
    if verdict.problems or verdict.signer is None:
        reasons = "; ".join(verdict.problems)
        raise VerificationFailed(f"signature over {root_hash} is not accepted: {reasons}")
    return verdict.signer.subject.rfc4514_string()
