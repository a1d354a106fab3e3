"""A real image with real bundles: converted, signed and attached as the service does."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.catalog.profiles import ProfileName
from app.config.model import SignerConfig
from app.facts import LayerFacts
from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from app.oci.manifest import RawManifest, encode
from app.registry.protocols import Registry
from app.registry.repository import Repository
from app.registry.transfer.sources import BytesSource
from tests.support.certificates import Identity, identity
from tests.support.sample_layer import make_tar
from workers.artifacts.compose import Bundle, compose
from workers.artifacts.signed import SignedLayer
from workers.images.publication import Placement, Published, publish
from workers.layers.building import build_layer
from workers.layers.built import ExpectedLayer, LayerOptions
from workers.layers.spool import Spool
from workers.signing.opening import open_signer
from workers.signing.signer import RootHashSigner


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was pushed: its manifest, and (descriptor, diffID, tar) of each layer."""

    repository: str
    manifest: RawManifest
    layers: tuple[tuple[Descriptor, DiffID, bytes], ...]


def push(
    registry: Registry, repository: str, data: bytes, media_type: str = "application/octet-stream"
) -> Descriptor:
    """Push bytes and describe them."""
    blob = Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))
    registry.push_blob(repository, blob, BytesSource(data))
    return blob


def push_image(
    registry: Registry, repository: str = "team/app", tag: str | None = "v1", seeds: int = 2
) -> Image:
    """Push an image of ``seeds`` gzipped layers."""
    layers = []
    for seed in range(seeds):
        tar = make_tar(files=12 + seed, seed=seed)
        blob = push(
            registry,
            repository,
            gzip.compress(tar, mtime=0),
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )
        layers.append((blob, DiffID(Digest.of(tar)), tar))
    config = push(
        registry,
        repository,
        encode(
            {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": [str(each[1]) for each in layers]},
            }
        ),
        mediatypes.OCI_CONFIG,
    )
    manifest = RawManifest(
        mediatypes.OCI_MANIFEST,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "config": config.wire(),
                "layers": [each[0].wire() for each in layers],
            }
        ),
    )
    registry.push_manifest(repository, manifest, tag)
    return Image(repository, manifest, tuple(layers))


def pem_signer(folder: Path, who: Identity | None = None, **config: object) -> RootHashSigner:
    """A PEM signer of this identity."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = (who or identity()).write(folder, name="published")
    return open_signer(
        SignerConfig.model_validate(
            {"name": "k", "kind": "pem", "key": str(key), "certificate": str(certificate)} | config
        ),
        folder,
    )


def convert(
    registry: Registry,
    image: Image,
    folder: Path,
    signer: RootHashSigner | None,
    *,
    padding: int = 512,
) -> list[SignedLayer]:
    """Build every layer, push index and tree, sign the root hashes."""
    done = []
    for blob, diff_id, tar in image.layers:
        with build_layer(
            [gzip.compress(tar, mtime=0)],
            compression="gzip",
            options=LayerOptions(padding=padding),
            spool=Spool(folder / "spool", 1 << 30),
            expected=ExpectedLayer(blob.digest, blob.size, diff_id),
        ) as built:
            push(registry, image.repository, built.device_table.index)
            with built.device_table.tree.open() as tree:
                push(registry, image.repository, tree.read())
            done.append(signed_by(signer, blob, built.facts))
    return done


def signed_by(signer: RootHashSigner | None, layer: Descriptor, facts: LayerFacts) -> SignedLayer:
    """Sign both root hashes, or neither."""
    if signer is None:
        return SignedLayer(layer, facts)
    single = facts.single_device_root_hash
    assert single is not None
    return SignedLayer(layer, facts, signer.sign(facts.root_hash), signer.sign(single))


def attach(
    registry: Registry,
    image: Image,
    layers: Sequence[SignedLayer],
    profiles: Sequence[ProfileName],
    placement: Placement | None = None,
) -> list[Published]:
    """Compose and publish the bundles of these profiles."""
    bundles: list[Bundle] = [
        bundle
        for profile in profiles
        for bundle in compose(profile, image.manifest.descriptor, layers)
    ]
    return publish(
        Repository(registry, image.repository),
        bundles,
        placement=placement or Placement(),
    )
