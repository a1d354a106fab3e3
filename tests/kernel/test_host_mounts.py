"""The kernel of this machine mounts both layouts and shows the files that were packed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.sample_layer import SampleLayer, convert, make_tar
from tests.support.tools import missing

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleLayer]:
    made = convert(make_tar(seed=11), tmp_path_factory.mktemp("host") / "spool")
    yield made
    made.built.close()


@contextmanager
def mounted(folder: Path, image: Path) -> Iterator[Path]:
    """Mount an image read-only, or skip where this process may not mount EROFS."""
    if os.geteuid() != 0 or not _knows_erofs():
        missing("mounting EROFS needs root and a kernel that has it")
    target = folder / "mounted"
    target.mkdir()
    subprocess.run(["mount", "-t", "erofs", "-o", "ro", str(image), str(target)], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


def _knows_erofs() -> bool:
    modprobe = shutil.which("modprobe")
    if modprobe is not None:
        subprocess.run([modprobe, "erofs"], capture_output=True, check=False)
    return "\terofs" in Path("/proc/filesystems").read_text()


@pytest.mark.interop(reader="kernel of this host", format="both layouts, mounted")
@pytest.mark.parametrize("layout", ["device-table", "single-device"])
def test_every_file_reads_back(layer: SampleLayer, tmp_path: Path, layout: str) -> None:
    image = tmp_path / "layer.img"
    image.write_bytes(layer.disk(layout))
    with mounted(tmp_path, image) as root:
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(root)}\n"
            for path in files
        ]
        assert (root / "etc/alias").readlink() == Path("../usr/bin/tool-001")
        assert os.stat(root / "usr/bin/tool-003").st_uid == 3
        assert os.getxattr(root / "usr/bin/tool-000", "user.note") == b"kept"
    everything = hashlib.sha256("".join(sorted(lines, key=lambda line: line[64:])).encode())
    assert len(lines) == layer.files
    assert everything.hexdigest() == layer.all_files
