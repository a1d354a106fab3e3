"""Real images, pushed with our own client: several layers, platforms, attestations."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from app.oci.manifest import RawManifest, encode
from app.registry.protocols import Registry
from app.registry.transfer.sources import BytesSource

GZIP_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def layer_tar(seed: int, files: int = 4, size: int = 3000) -> bytes:
    """A tar whose content depends on ``seed`` alone."""
    source = Random(seed)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo(f"opt/{seed}")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for number in range(files):
            content = source.randbytes(source.randint(0, size))
            entry = tarfile.TarInfo(f"opt/{seed}/file-{number}")
            entry.size, entry.mtime = len(content), 1_700_000_000
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class PushedImage:
    """One platform's manifest and what its layers hold."""

    manifest: RawManifest
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[DiffID, ...]
    #: Compressed layer by digest.
    blobs: Mapping[Digest, bytes] = field(repr=False)

    @property
    def digest(self) -> Digest:
        """Digest of the manifest."""
        return self.manifest.digest


def push_blob(registry: Registry, repository: str, media_type: str, data: bytes) -> Descriptor:
    """Push bytes and describe them."""
    blob = Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))
    registry.push_blob(repository, blob, BytesSource(data))
    return blob


@lru_cache(maxsize=64)
def _gzip(tar: bytes) -> bytes:
    return gzip.compress(tar, 1, mtime=0)


def push_image(
    registry: Registry,
    repository: str,
    tars: Sequence[bytes],
    *,
    tag: str | None = None,
    architecture: str = "amd64",
    salt: str = "",
    diff_ids: Sequence[DiffID] | None = None,
    claims: Mapping[str, object] | None = None,
) -> PushedImage:
    """Push an image of gzip layers; ``salt`` makes another image of the same layers.

    ``diff_ids`` are what its config claims, ``claims`` what its manifest says of each layer, where
    that is not the truth.
    """
    compressed = [_gzip(tar) for tar in tars]
    pushed = [push_blob(registry, repository, GZIP_LAYER, data) for data in compressed]
    layers = [layer.model_copy(update=claims or {}) for layer in pushed]
    claimed = tuple(diff_ids or (DiffID(Digest.of(tar)) for tar in tars))
    config = encode(
        {
            "os": "linux",
            "architecture": architecture,
            "config": {"Labels": {"salt": salt}},
            "rootfs": {"type": "layers", "diff_ids": list(claimed)},
        }
    )
    described = push_blob(registry, repository, mediatypes.OCI_CONFIG, config)
    manifest = RawManifest(
        mediatypes.OCI_MANIFEST,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "config": described.wire(),
                "layers": [layer.wire() for layer in layers],
            }
        ),
    )
    registry.push_manifest(repository, manifest, tag)
    blobs = dict(zip((layer.digest for layer in layers), compressed, strict=True))
    return PushedImage(manifest, tuple(layers), claimed, blobs)


def push_attestation(registry: Registry, repository: str) -> RawManifest:
    """Push a manifest as BuildKit makes them for attestations: an image by type, but none."""
    statement = push_blob(registry, repository, "application/vnd.in-toto+json", b'{"a":1}')
    config = push_blob(
        registry,
        repository,
        mediatypes.OCI_CONFIG,
        encode({"os": "unknown", "architecture": "unknown"}),
    )
    manifest = RawManifest(
        mediatypes.OCI_MANIFEST,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "config": config.wire(),
                "layers": [statement.wire()],
            }
        ),
    )
    registry.push_manifest(repository, manifest)
    return manifest


def push_index(
    registry: Registry,
    repository: str,
    tag: str,
    images: Mapping[str, PushedImage],
    attestation: RawManifest | None = None,
) -> RawManifest:
    """Push an index of images by architecture, with an attestation child if given."""
    children: list[dict[str, object]] = [
        image.manifest.descriptor.wire() | {"platform": {"os": "linux", "architecture": name}}
        for name, image in images.items()
    ]
    if attestation is not None:
        children.append(
            attestation.descriptor.wire()
            | {
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
            }
        )
    index = RawManifest(
        mediatypes.OCI_INDEX,
        encode({"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": children}),
    )
    registry.push_manifest(repository, index, tag)
    return index
