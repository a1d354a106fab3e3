"""Attaches a real, signed bundle to an image of one uncompressed layer, as the service does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.catalog.profiles import ProfileName
from app.config.model import SignerConfig
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import Manifest, RawManifest, parse_manifest
from app.registry.protocols import Registry
from app.registry.repository import Repository
from app.registry.transfer.sources import BytesSource
from tests.support.certificates import Identity
from tests.support.sample_layer import SampleLayer
from workers.artifacts.compose import Bundle, compose
from workers.artifacts.signed import SignedLayer
from workers.images.publication import Placement, publish
from workers.signing.opening import open_signer
from workers.signing.signer import RootHashSigner


def signer_config(folder: Path, identity: Identity, name: str = "test") -> SignerConfig:
    """Configuration of a signer with this identity's files."""
    key, certificate = identity.write(folder, name=name)
    return SignerConfig(name=name, kind="pem", key=str(key), certificate=str(certificate))


def open_test_signer(folder: Path, identity: Identity, name: str = "test") -> RootHashSigner:
    """The same, open."""
    return open_signer(signer_config(folder, identity, name), folder)


def bundle_for(
    image: RawManifest,
    sample: SampleLayer,
    signer: RootHashSigner | None,
    profile: ProfileName = "containerd-erofs",
    builder_version: str = "1.9.3",
) -> Bundle:
    """Compose the bundle; index and tree are those of the sample's layer."""
    parsed = parse_manifest(image)
    assert isinstance(parsed, Manifest)
    built = sample.built
    facts = replace(
        built.facts,
        layer_digest=parsed.layers[0].digest,
        single_device_root_hash=None,
        builder_version=builder_version,
    )
    signature = signer.sign(facts.root_hash) if signer else None
    layer = SignedLayer(parsed.layers[0], facts, signature)
    (bundle,) = compose(profile, image.descriptor, [layer])
    return bundle


def push_content(registry: Registry, repository: str, sample: SampleLayer) -> None:
    """Push index and tree."""
    with sample.built.device_table.tree.open() as tree:
        for data in (sample.built.device_table.index, tree.read()):
            blob = Descriptor(
                media_type="application/octet-stream", digest=Digest.of(data), size=len(data)
            )
            registry.push_blob(repository, blob, BytesSource(data))


def attach(registry: Registry, repository: str, sample: SampleLayer, bundle: Bundle) -> None:
    """Push content and bundle."""
    push_content(registry, repository, sample)
    publish(Repository(registry, repository), [bundle], placement=Placement())
