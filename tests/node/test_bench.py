"""The benchmark runs, and its rows mean what they say; times are for people, not for a test."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from tests.bench.node import MODES, measure, table
from tests.support.node_images import TarLayer, busybox

pytestmark = pytest.mark.real


def test_one_round_on_a_small_layer(tmp_path: Path) -> None:
    layer = TarLayer("gzip").add("bin").add("bin/busybox", busybox(), mode=0o755)
    layer.add("bin/true", link="bin/busybox", hard=True, mode=0o755)
    for name in ("proc", "sys", "dev", "tmp", "run", "etc"):
        layer.add(name)
    layer.add("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    layer.add("noise", random.Random(1).randbytes(2_000_000))
    tar = tmp_path / "small.tar"
    tar.write_bytes(layer.tar())
    packed = gzip.compress(tar.read_bytes(), mtime=0)
    (tmp_path / "small.tar.gz").write_bytes(packed)
    stand = tmp_path / "stand"
    stand.mkdir()
    result = measure(stand, tar, 1)
    modes = result["modes"]
    assert tuple(modes) == MODES
    for mode in ("overlayfs", "erofs", "tar-index"):
        assert modes[mode]["bytes"] >= len(packed), mode
    assert modes["warm"]["bytes"] < 10_000
    assert modes["fetch+start"]["bytes"] >= len(packed)
    assert modes["fetch+start"]["fetch"] > 0
    assert "small" in table(result)
