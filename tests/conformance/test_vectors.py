"""Every vector, every option set, every version: our bytes are the reference tool's."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.vectors import (
    VECTORS,
    build,
    expectations,
    manifest,
    outcome,
    tar_bytes,
    vector_uuid,
)
from workers.formats.erofs.tarindex import TarIndexBuilder, TarIndexOptions


@pytest.mark.parametrize("name", sorted(manifest()["vectors"]))
def test_vector(name: str) -> None:
    tar = tar_bytes(name)
    wrong = [
        (e.version, e.option_set)
        for e in expectations()
        if e.vector == name and outcome(tar, e.version, e.option_set) != e.sha256
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sorted((VECTORS / "index").glob("*.idx")), ids=lambda p: p.stem)
def test_index_bytes(path: Path) -> None:
    assert build(tar_bytes(path.stem)).data == path.read_bytes()


def _feed_file(path: Path, version: str = "1.9.3") -> bytes:
    builder = TarIndexBuilder(TarIndexOptions(uuid=vector_uuid(), version=version))
    with path.open("rb") as file:
        while chunk := file.read(4 << 20):
            builder.feed(chunk)
    return builder.finish().data


@pytest.mark.parametrize("name", sorted(manifest()["large"]["results"]))
def test_large_vector(name: str, tmp_path: Path) -> None:
    expected = manifest()["large"]["results"][name]
    tar = tmp_path / "large.tar"
    # The generator seeks over long runs of zeros, so the multi-gigabyte ones are sparse files.
    subprocess.run([sys.executable, VECTORS / "large.py", name, tar], check=True)
    assert tar.stat().st_size == expected["tar_size"]
    index = _feed_file(tar)
    assert (len(index), sha256(index).hexdigest()) == (
        expected["index_size"],
        expected["index_sha256"],
    )
