"""A small real layer, converted by the real pipeline, and what its files must read back as."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

from app.oci.digest import Digest
from workers.layers.building import build_layer
from workers.layers.built import BuiltLayer, LayerOptions, LayoutForm
from workers.layers.spool import Spool


@dataclass(frozen=True, slots=True)
class SampleLayer:
    """A tar and what it became; forms by layout hold bytes."""

    tar: bytes
    built: BuiltLayer
    #: sha256 over the sorted output of ``sha256sum`` of every regular file.
    all_files: str
    files: int

    def disk(self, layout: str) -> bytes:
        """``[index][tar][padding][superblock][levels]`` in a layout."""
        form = self.form(layout)
        data = form.index + self.tar
        with form.tree.open() as tree:
            return data.ljust(self.built.facts.hash_offset, b"\0") + tree.read()

    def form(self, layout: str) -> LayoutForm:
        """The built form of a layout."""
        return self.built.form("single-device" if layout == "single-device" else "device-table")

    def data_offset(self, name: str) -> int:
        """Where a file's bytes start on the disk."""
        with tarfile.open(fileobj=io.BytesIO(self.tar)) as tar:
            return len(self.built.device_table.index) + tar.getmember(name).offset_data


def make_tar(files: int = 60, seed: int = 7) -> bytes:
    """A tar with directories, files of many sizes, links, a whiteout and extended attributes."""
    source = random.Random(seed)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in ("usr", "usr/bin", "etc", "var"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for number in range(files):
            content = source.randbytes(source.choice([1, 100, 511, 512, 4096, 5000, 40_000]))
            entry = tarfile.TarInfo(f"usr/bin/tool-{number:03}")
            entry.size, entry.mode = len(content), 0o755
            entry.uid, entry.gid, entry.mtime = number, 1000 + number, 1_700_000_000 + number
            if number == 0:
                entry.pax_headers = {"SCHILY.xattr.user.note": "kept"}
            tar.addfile(entry, io.BytesIO(content))
        for name, kind, target in (
            ("etc/alias", tarfile.SYMTYPE, "../usr/bin/tool-001"),
            ("etc/same", tarfile.LNKTYPE, "usr/bin/tool-002"),
            ("var/.wh.gone", tarfile.REGTYPE, ""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            tar.addfile(entry)
    return out.getvalue()


def convert(tar: bytes, folder: Path, options: LayerOptions | None = None) -> SampleLayer:
    """Convert an uncompressed layer; the result's scratch files live as long as ``folder``."""
    built = build_layer(
        [tar], compression="", options=options or LayerOptions(), spool=Spool(folder, 1 << 30)
    )
    assert built.facts.layer_digest == Digest.of(tar)
    sums = sorted(_sums(tar), key=lambda line: line[64:])
    digest = hashlib.sha256("".join(sums).encode()).hexdigest()
    return SampleLayer(tar, built, digest, len(sums))


def _sums(tar: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        contents: dict[str, bytes] = {}
        for entry in archive:
            stream = archive.extractfile(entry) if entry.isreg() or entry.islnk() else None
            if stream is not None and not Path(entry.name).name.startswith(".wh."):
                contents[entry.name] = stream.read()
    return [f"{hashlib.sha256(data).hexdigest()}  ./{name}\n" for name, data in contents.items()]
