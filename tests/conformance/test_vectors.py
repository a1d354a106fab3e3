"""Every vector, every option set, every version: our bytes are the reference tool's."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.vectors import (
    VECTORS,
    build,
    expectations,
    large_tar,
    manifest,
    outcome,
    tar_bytes,
    vector_uuid,
)
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions


@pytest.mark.parametrize("name", sorted(manifest()["vectors"]))
def test_vector(name: str) -> None:
    tar = tar_bytes(name)
    expected = [each for each in expectations() if each.vector == name]
    assert len({(each.version, each.option_set) for each in expected}) > 1
    wrong = [
        (e.version, e.option_set)
        for e in expected
        if outcome(tar, e.version, e.option_set) != e.sha256
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sorted((VECTORS / "index").glob("*.idx")), ids=lambda p: p.stem)
def test_index_bytes(path: Path) -> None:
    assert build(tar_bytes(path.stem)).data == path.read_bytes()


@pytest.mark.parametrize("name", sorted(manifest()["large"]["results"]))
def test_large_vector(name: str) -> None:
    expected = manifest()["large"]["results"][name]
    builder = TarIndexBuilder(TarIndexOptions(uuid=vector_uuid()))
    size = 0
    for chunk in large_tar(name):
        builder.feed(chunk)
        size += len(chunk)
    index = builder.finish().data
    assert size == expected["tar_size"]
    assert (len(index), sha256(index).hexdigest()) == (
        expected["index_size"],
        expected["index_sha256"],
    )
