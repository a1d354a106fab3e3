"""Our statement of containerd's unpacking is what containerd does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.archives import archive
from tests.differential.compare import Difference, differences
from tests.differential.containerd import unpack_with_containerd, unpacking_folder
from tests.differential.runtime import runtime_views
from tests.differential.tree import Node, Refused, flat
from tests.differential.unpack import unpack
from tests.support.tools import ROOT

_ARCHIVES = 800


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = unpacking_folder(tmp_path)
    yield made
    shutil.rmtree(made)


def _compared(stated: Node, found: Node) -> list[Difference]:
    """Without the modes of symbolic links, which a file system does not keep."""
    links = {path for path, node in flat(found).items() if node.is_symlink}
    return [
        each
        for each in differences(stated, found)
        if each.aspect != "mode" or each.path not in links
    ]


@pytest.mark.real
def test_the_same_trees(folder: Path) -> None:
    archives = [archive(seed) for seed in range(_ARCHIVES)]
    wrong: list[tuple[int, object]] = []
    refused = 0
    made = unpack_with_containerd(archives, folder)
    for seed, (view, found) in enumerate(zip(runtime_views(archives), made, strict=True)):
        try:
            stated: Node | str = unpack(view)
        except Refused as refusal:
            stated = str(refusal)
        if isinstance(stated, Node) and isinstance(found, Node):
            wrong += [(seed, each) for each in _compared(stated, found)]
        elif isinstance(stated, Node) or isinstance(found, Node):
            wrong.append((seed, found if isinstance(found, str) else stated))
        else:
            refused += 1
    assert wrong == []
    assert 0 < refused < _ARCHIVES // 2


def test_the_same_release_as_the_nodes() -> None:
    version = re.search(r"^version=(\S+)$", (ROOT / ".ci/get-containerd").read_text(), re.MULTILINE)
    assert version is not None
    module = (ROOT / "tests/golang/unpack/go.mod").read_text()
    assert f"github.com/containerd/containerd/v2 {version[1]}\n" in module
