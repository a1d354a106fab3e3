"""Every input that fuzzing once broke something with, and every seed, keeps its invariant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run import FINDINGS, NAMES, seeds
from tests.fuzz.targets import TARGETS

_FOUND = sorted(path for path in FINDINGS.glob("*/*") if path.suffix == ".bin")


@pytest.mark.parametrize("path", _FOUND, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_finding(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", NAMES)
def test_seeds(target: str) -> None:
    count = 0
    for _, data in seeds(target):
        TARGETS[target](data)
        count += 1
    assert count > 20
