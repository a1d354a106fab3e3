"""A two-platform image as an OCI image layout, pushed by skopeo as any publisher would."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError, Unavailable
from app.oci import mediatypes
from app.oci.digest import Digest
from app.oci.manifest import encode
from workers.demo import files

PLATFORMS = ("amd64", "arm64")
_LAYER_TYPE = {
    compression: name
    for name, compression in mediatypes.LAYER_COMPRESSION.items()
    if ".oci." in name
}


@dataclass(frozen=True, slots=True)
class DemoImage:
    """An image layout on disk."""

    layout: Path
    index: Digest
    #: Platform -> digest of its manifest.
    manifests: dict[str, Digest]
    #: Bytes of distinct layers as pushed.
    layer_bytes: int


class _Layout:
    """Writes blobs of an OCI image layout (image-spec image-layout.md)."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def add(self, data: bytes, media_type: str) -> dict[str, object]:
        digest = Digest.of(data)
        (self._blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add_layer(self, tar: Path, compression: str) -> tuple[dict[str, object], str]:
        """Add a layer; returns its descriptor and diffID."""
        diff_id = "sha256:" + _sha256(tar)
        packed = files.compress(tar, compression)
        digest = _sha256(packed)
        size = packed.stat().st_size
        packed.rename(self._blobs / digest)
        tar.unlink()
        media_type = _LAYER_TYPE[compression]
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}, diff_id


def build(folder: Path, *, with_dependencies: bool = True) -> DemoImage:
    """Make the image below an empty folder; without the largest layer if asked.

    amd64 has four layers (gzip, gzip, zstd, plain), arm64 three; two are the same in both.
    """
    layout = _Layout(folder)
    scratch = folder / "layer.tar"
    files.write_library(scratch)
    library = layout.add_layer(scratch, "gzip")
    shared = [library]
    if with_dependencies:
        files.write_dependencies(scratch)
        shared.append(layout.add_layer(scratch, "zstd"))
    files.write_runtime(scratch)
    runtime = layout.add_layer(scratch, "gzip")
    layers = {diff_id: layer for layer, diff_id in (*shared, runtime)}
    entries: list[dict[str, object]] = []
    for architecture in PLATFORMS:
        files.write_change(scratch, f"linux/{architecture}")
        change = layout.add_layer(scratch, "")
        layers[change[1]] = change[0]
        # Only amd64 gets the machine's own busybox: the other platform could not run it.
        lowest = [runtime] if architecture == "amd64" else []
        stack = [*lowest, *shared, change]
        manifest = _manifest(layout, architecture, stack)
        entries.append({**manifest, "platform": {"os": "linux", "architecture": architecture}})
    index = encode({"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": entries})
    top = layout.add(index, mediatypes.OCI_INDEX)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return DemoImage(
        layout=folder,
        index=Digest.of(index),
        manifests={
            f"linux/{architecture}": Digest(str(entry["digest"]))
            for architecture, entry in zip(PLATFORMS, entries, strict=True)
        },
        layer_bytes=sum(int(str(layer["size"])) for layer in layers.values()),
    )


def push(image: DemoImage, reference: str) -> None:
    """Push with skopeo, all platforms.

    Raises ``Unavailable`` with what skopeo said, ``ConfigurationError`` where there is none.
    """
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        raise ConfigurationError("skopeo is not installed", advice="apt-get install skopeo")
    done = subprocess.run(
        [
            *(skopeo, "--insecure-policy", "copy", "--all", "--preserve-digests", "--quiet"),
            *("--dest-tls-verify=false", f"oci:{image.layout}", f"docker://{reference}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"skopeo could not push {reference}: {done.stderr.strip()}")


def _manifest(
    layout: _Layout, architecture: str, stack: list[tuple[dict[str, object], str]]
) -> dict[str, object]:
    config = layout.add(
        encode(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["/bin/sh"], "WorkingDir": "/app"},
                "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in stack]},
            }
        ),
        mediatypes.OCI_CONFIG,
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": config,
        "layers": [descriptor for descriptor, _ in stack],
    }
    return layout.add(encode(manifest), mediatypes.OCI_MANIFEST)


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
