"""Moves an image from one profile to another without building: content and signatures are reused.

A signature covers a root hash, whatever manifest carries it, so what a bundle holds can be listed
again under other names. Facts that only a build knows (another padding, the other layout) cannot be
made up: then ``ConfigurationError`` says to convert.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.catalog.profiles import CREATED, PROFILES, Content, ProfileName
from app.errors import ConfigurationError, VerificationFailed
from app.facts import LayerFacts
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import ImagePlan, PlannedLayer
from app.oci.manifest import Manifest, RawManifest, parse_manifest
from app.registry.repository import Repository
from workers.artifacts.combinations import check_combination
from workers.artifacts.compose import compose, next_created
from workers.artifacts.reading import ClaimedLayer, read_bundle
from workers.artifacts.signed import SignedLayer
from workers.formats.erofs.reader import ImageReader
from workers.formats.errors import FormatError
from workers.formats.pkcs7.decode import MAX_SIGNATURE_BYTES
from workers.formats.verity.superblock import VeritySuperblock
from workers.formats.verity.values import BLOCK
from workers.images.publication import Placement, Published, publish

#: As much of an index as holds its superblock.
_INDEX_HEAD = 3 * BLOCK


@dataclass(frozen=True, slots=True)
class Source:
    """A bundle to move: its manifest and the profile it is read under."""

    profile: ProfileName
    manifest: RawManifest


def find_source(repository: Repository, subject: Digest, profile: ProfileName) -> Source:
    """Find a profile's only bundle.

    Raises ``VerificationFailed`` when there are none or two, ``ConfigurationError`` for a profile
    whose bundles belong to layers.
    """
    if not PROFILES[profile].about_image:
        raise ConfigurationError(f"{profile} bundles belong to layers and cannot be moved")
    found = [
        listed
        for kind in PROFILES[profile].artifact_types
        for listed in repository.list_referrers(subject, kind)
    ]
    if len(found) != 1:
        raise VerificationFailed(f"{subject} has {len(found)} bundles of {profile}, one is needed")
    return Source(profile, repository.fetch_manifest(found[0].digest))


def republish(
    repository: Repository,
    plan: ImagePlan,
    source: Source,
    target: ProfileName,
    placement: Placement,
) -> list[Published]:
    """Publish a verified bundle's content under another profile; the old bundle stays.

    Where both use one artifact type, readers must never see two: the old one is replaced in the
    order that ``placement`` says. Raises ``ConfigurationError`` when only a build can do it.
    """
    if PROFILES[target].states("builder_version"):
        raise ConfigurationError(
            "bundles of other profiles do not say which builder made them",
            advice=f"convert the image under the profile {target} instead",
        )
    layers = signed_layers(repository, plan, source)
    # Signed or not is known by layer and checked when composing.
    check_combination([target], padding=layers[0].facts.padding, signed=True)
    bundles = compose(
        target,
        plan.subject,
        layers,
        created=next_created(_created(repository, plan, target)),
    )
    shared = PROFILES[source.profile].artifact_types & PROFILES[target].artifact_types
    return publish(repository, bundles, placement=placement, force=bool(shared))


def remove(repository: Repository, plan: ImagePlan, source: Source) -> Digest:
    """Detach the old bundle; its blobs stay for the registry's own collection."""
    subject, digest = plan.subject.digest, source.manifest.digest
    with repository.exclusive("bundle", subject):
        repository.detach(subject, digest)
    return digest


def signed_layers(repository: Repository, plan: ImagePlan, source: Source) -> list[SignedLayer]:
    """Read every layer's facts back from a bundle, its blobs and the image.

    Raises ``VerificationFailed`` for a bundle that lacks one or contradicts itself.
    """
    manifest = parse_manifest(source.manifest)
    if not isinstance(manifest, Manifest):
        raise VerificationFailed(f"{source.manifest.digest} is no bundle")
    claimed = read_bundle(manifest, source.profile)
    version = claimed.facts.get("builder_version")
    reader = _LayerReader(repository, source.profile, version)
    layers = []
    for planned in plan.layers:
        layer = claimed.layers.get(planned.descriptor.digest)
        if layer is None:
            raise VerificationFailed(f"the bundle lacks layer {planned.descriptor.digest}")
        layers.append(reader.read(planned, layer))
    return layers


@dataclass(frozen=True, slots=True)
class _LayerReader:
    repository: Repository
    profile: ProfileName
    builder_version: str | None

    def read(self, planned: PlannedLayer, layer: ClaimedLayer) -> SignedLayer:
        index, tree = layer.parts.get("index"), layer.parts.get("tree")
        if index is None or tree is None or "root_hash" not in layer.facts:
            raise ConfigurationError(
                f"a bundle of {self.profile} does not carry index and tree of {layer.layer}",
                advice="convert the image under the new profile instead",
            )
        try:
            superblock = VeritySuperblock.parse(self._head(tree, BLOCK))
            inodes = ImageReader(self._head(index, _INDEX_HEAD)).superblock
        except FormatError as error:
            raise VerificationFailed(f"layer {layer.layer}: {error}") from None
        tar_size = inodes.device_blocks * BLOCK
        facts = LayerFacts(
            layer_digest=planned.descriptor.digest,
            layer_size=planned.descriptor.size,
            diff_id=planned.diff_id,
            tar_size=tar_size,
            builder_version=self.builder_version or "unknown",
            padding=int(layer.facts.get("padding", PROFILES[self.profile].padding or BLOCK)),
            uuid=str(UUID(bytes=inodes.uuid)),
            index_digest=index.digest,
            index_size=index.size,
            tree_digest=tree.digest,
            tree_size=tree.size,
            root_hash=layer.facts["root_hash"],
            single_device_root_hash=layer.facts.get("single_device_root_hash"),
            data_size=int(layer.facts.get("data_size", index.size + tar_size)),
            hash_offset=superblock.data_blocks * BLOCK,
            entries=int(layer.facts.get("entries", inodes.inos)),
            warnings=(),
            warned=(),
        )
        return SignedLayer(
            planned.descriptor,
            facts,
            self._signature(layer, "signature"),
            self._signature(layer, "single-device-signature"),
        )

    def _head(self, blob: Descriptor, size: int) -> bytes:
        head = bytearray()
        with self.repository.fetch_blob(blob) as chunks:
            for chunk in chunks:
                head += chunk[: size - len(head)]
                if len(head) == size:
                    break
        return bytes(head)

    def _signature(self, layer: ClaimedLayer, content: Content) -> bytes | None:
        entry = layer.parts.get(content)
        if entry is None:
            return None
        return self.repository.read_blob(entry, max_bytes=MAX_SIGNATURE_BYTES)


def _created(repository: Repository, plan: ImagePlan, target: ProfileName) -> list[str | None]:
    return [
        (listed.annotations or {}).get(CREATED)
        for kind in PROFILES[target].artifact_types
        for listed in repository.list_referrers(plan.subject.digest, kind)
    ]
