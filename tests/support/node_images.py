"""Images that can run, pushed to a real registry and converted by the project's own code."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import zstandard

from app.catalog.profiles import ProfileName
from app.config.model import BuildConfig
from app.facts import LayerFacts
from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from app.oci.manifest import RawManifest, encode
from app.registry.protocols import Registry
from app.registry.repository import Repository
from app.registry.transfer.sources import BytesSource
from tests.support.tools import require
from workers.artifacts.compose import compose_all, wants_single_device
from workers.artifacts.signed import SignedLayer
from workers.formats.verity.blocks import block_hashes
from workers.formats.verity.extents import HeldBytes, chunks, held
from workers.formats.verity.superblock import VeritySuperblock
from workers.formats.verity.tree import build_tree
from workers.images.plan import read_plan
from workers.images.publication import Placement, Published, publish
from workers.layers.identity import erofs_uuid, verity_uuid
from workers.layers.remote import build_remote_layer, layer_options, push_built
from workers.layers.spool import Spool
from workers.signing.signer import Pkcs7Signer

APPLETS = ("sh", "cat", "find", "id", "sha256sum", "sort", "stat", "readlink")


@dataclass(slots=True)
class TarLayer:
    """A layer under construction: names as in the tar, whiteouts included."""

    compression: str = "gzip"
    _out: io.BytesIO = field(default_factory=io.BytesIO)
    _tar: tarfile.TarFile = field(init=False)

    def __post_init__(self) -> None:
        self._tar = tarfile.TarFile(fileobj=self._out, mode="w", format=tarfile.PAX_FORMAT)

    def add(
        self,
        name: str,
        content: bytes | None = None,
        *,
        mode: int = 0o644,
        uid: int = 0,
        link: str | None = None,
        hard: bool = False,
    ) -> TarLayer:
        """Add a file, a link (``link``), or a directory (neither)."""
        entry = tarfile.TarInfo(name)
        entry.mode, entry.uid, entry.gid, entry.mtime = mode, uid, uid, 1_700_000_000
        if link is not None:
            entry.type, entry.linkname = tarfile.LNKTYPE if hard else tarfile.SYMTYPE, link
        elif content is None:
            entry.type, entry.mode = tarfile.DIRTYPE, mode if mode != 0o644 else 0o755
        else:
            entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content or b""))
        return self

    def tar(self) -> bytes:
        """Return the finished tar."""
        self._tar.close()
        return self._out.getvalue()


@dataclass(frozen=True, slots=True)
class PushedImage:
    """An image in a registry."""

    reference: str
    repository: str
    manifest: Digest
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[DiffID, ...]
    tars: tuple[bytes, ...] = ()


def runnable_layers(seed: int = 0) -> list[TarLayer]:
    """Three layers: busybox, changes with whiteouts over it, an uncompressed last one."""
    noise = random.Random(seed)
    base = TarLayer("gzip").add("bin").add("bin/busybox", busybox(), mode=0o755)
    for applet in APPLETS:
        base.add(f"bin/{applet}", link="bin/busybox", hard=True, mode=0o755)
    for name in ("proc", "sys", "dev", "tmp", "run", "etc", "data", "data/deep"):
        base.add(name)
    base.add("etc/passwd", b"root:x:0:0:root:/:/bin/sh\nweb:x:1234:1234::/:/bin/sh\n")
    base.add("etc/gone", b"to be deleted").add("data/old", b"old").add("data/deep/old", b"old")
    base.add("hello", b"from the first layer\n")
    change = TarLayer("zstd").add("etc").add("etc/.wh.gone", b"").add("data")
    change.add("data/.wh..wh..opq", b"").add("data/new", noise.randbytes(300_000), uid=1234)
    change.add("data/odd", b"x" * 513, mode=0o4711).add("data/empty", b"")
    change.add("data/link", link="new", mode=0o777)
    return [base, change, TarLayer("").add("hello", f"hello from layer three, {seed}\n".encode())]


def busybox() -> bytes:
    """The statically linked busybox of this machine."""
    return Path(require("busybox")).read_bytes()


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """A layer as a registry stores it."""

    data: bytes
    compression: str
    diff_id: DiffID


def push_image(
    registry: Registry, repository: str, layers: Sequence[TarLayer], tag: str = "1"
) -> PushedImage:
    """Push layers as an image whose command prints ``/hello``."""
    tars = [layer.tar() for layer in layers]
    packed = [
        PackedLayer(_packed(tar, layer.compression), layer.compression, DiffID(Digest.of(tar)))
        for tar, layer in zip(tars, layers, strict=True)
    ]
    image = push_packed(registry, repository, packed, ["/bin/cat", "/hello"], tag)
    return replace(image, tars=tuple(tars))


def push_packed(
    registry: Registry,
    repository: str,
    layers: Sequence[PackedLayer],
    command: Sequence[str],
    tag: str = "1",
) -> PushedImage:
    """Push compressed layers as an image; ``tars`` of the result is empty."""
    stack = tuple(
        _push(registry, repository, layer.data, _media_type(layer.compression)) for layer in layers
    )
    diff_ids = tuple(layer.diff_id for layer in layers)
    config = encode(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        }
    )
    manifest = RawManifest(
        mediatypes.OCI_MANIFEST,
        encode(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "config": _push(registry, repository, config, mediatypes.OCI_CONFIG).wire(),
                "layers": [each.wire() for each in stack],
            }
        ),
    )
    registry.push_manifest(repository, manifest, tag)
    reference = f"{registry.host}/{repository}:{tag}"
    return PushedImage(reference, repository, manifest.digest, stack, diff_ids)


def convert_image(
    registry: Registry,
    image: PushedImage,
    spool: Path,
    *,
    signer: Pkcs7Signer | None,
    profiles: tuple[ProfileName, ...] = ("containerd-erofs",),
) -> list[Published]:
    """Build every layer and attach the bundles, as the service's tasks do one by one."""
    repository = Repository(registry, image.repository)
    build, plan = BuildConfig(), read_plan(repository, image.manifest)
    layers = []
    for planned in plan.layers:
        with build_remote_layer(
            repository, planned.descriptor, planned.diff_id,
            layer_options(build, planned.descriptor), Spool(spool, 4 << 30),
        ) as built:  # fmt: skip
            push_built(repository, built)
        layers.append(_signed(signer, planned.descriptor, built.facts, profiles))
    bundles = compose_all(profiles, plan.subject, layers)
    return publish(repository, bundles, placement=Placement(), force=True)


def _signed(
    signer: Pkcs7Signer | None,
    layer: Descriptor,
    facts: LayerFacts,
    profiles: Sequence[ProfileName],
) -> SignedLayer:
    if signer is None:
        return SignedLayer(layer, facts)
    single = facts.single_device_root_hash if wants_single_device(profiles) else None
    return SignedLayer(
        layer, facts, signer.sign(facts.root_hash), signer.sign(single) if single else None
    )


def merged_files(tars: Sequence[bytes]) -> dict[str, str]:
    """Path -> sha256 of what an image shows: an independent reading of image-spec layer.md."""
    files: dict[str, str] = {}
    for data in tars:
        added: dict[str, str] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for entry in tar:
                folder, _, name = f"/{entry.name}".rpartition("/")
                if name == ".wh..wh..opq":
                    files = {k: v for k, v in files.items() if not k.startswith(f"{folder}/")}
                elif name.startswith(".wh."):
                    gone = f"{folder}/{name[4:]}"
                    files = {
                        k: v for k, v in files.items() if k != gone and not k.startswith(f"{gone}/")
                    }
                elif entry.isreg() or entry.islnk():
                    content = tar.extractfile(entry)
                    assert content is not None
                    added[f"{folder}/{name}"] = hashlib.sha256(content.read()).hexdigest()
        files |= added
    return files


def _push(registry: Registry, repository: str, data: bytes, media_type: str) -> Descriptor:
    blob = Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))
    registry.push_blob(repository, blob, BytesSource(data))
    return blob


def _packed(tar: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(tar, 6, mtime=0)
    return zstandard.ZstdCompressor().compress(tar) if compression == "zstd" else tar


def _media_type(compression: str) -> str:
    suffix = f"+{compression}" if compression else ""
    return f"application/vnd.oci.image.layer.v1.tar{suffix}"


def attach_forged(
    registry: Registry,
    image: PushedImage,
    layers: Sequence[tuple[bytes, bytes]],
    *,
    signer: Pkcs7Signer | None,
) -> None:
    """Attach a ``verilayer`` bundle of given (index, data that the tree covers), one a layer.

    Everything in it is consistent with that data, whatever the layer holds.
    """
    made = []
    for (index, data), descriptor, diff_id in zip(
        layers, image.layers, image.diff_ids, strict=True
    ):
        padded = data + bytes(-len(data) % 512)
        tree = build_tree(b"", held(bytes(block_hashes(padded))), lambda size: HeldBytes())
        superblock = VeritySuperblock(verity_uuid(descriptor.digest).bytes, len(padded) // 512)
        blob = b"".join(chunks(tree.extents(superblock.encode()), 1 << 20))
        for each in (index, blob):
            _push(registry, image.repository, each, "application/octet-stream")
        facts = LayerFacts(
            layer_digest=descriptor.digest, layer_size=descriptor.size, diff_id=diff_id,
            tar_size=len(data) - len(index), builder_version=BuildConfig().builder_version,
            padding=512, uuid=str(erofs_uuid(descriptor.digest)),
            index_digest=Digest.of(index), index_size=len(index),
            tree_digest=Digest.of(blob), tree_size=len(blob), root_hash=tree.root.hex(),
            data_size=len(data), hash_offset=len(padded), entries=1, warnings=(), warned=(),
        )  # fmt: skip
        made.append(_signed(signer, descriptor, facts, ()))
    repository = Repository(registry, image.repository)
    plan = read_plan(repository, image.manifest)
    bundles = compose_all(("verilayer",), plan.subject, made)
    publish(repository, bundles, placement=Placement(), force=True)
