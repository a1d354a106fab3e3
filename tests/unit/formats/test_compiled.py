"""Compiled and interpreted formats are the same program, and the compiled one is not stale."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import workers.formats.erofs
import workers.formats.tarindex.reader
from tests.support.tarmaker import seeded_tar
from tests.support.tools import ROOT, missing
from tests.support.vectors import build
from workers.formats.errors import FormatError

_SEEDS = range(50_000, 50_200)
_PACKAGES = (workers.formats.tarindex, workers.formats.erofs)
_FOLDERS = [Path(package.__path__[0]) for package in _PACKAGES]


def results() -> str:
    """Index digests, refusals and warnings of some archives, one line each."""
    from hashlib import sha256

    lines = []
    for seed in _SEEDS:
        for version in ("1.9.3", "1.8.6"):
            try:
                index = build(seeded_tar(seed), version)
                lines.append(f"{sha256(index.data).hexdigest()} {index.warnings}")
            except FormatError as error:
                lines.append(f"{error.code} {error}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def compiled() -> list[Path]:
    modules = [path for folder in _FOLDERS for path in folder.glob("*.so")]
    if not modules or str(workers.formats.tarindex.reader.__file__).endswith(".py"):
        missing("the formats are not compiled; run make dev")
    return modules


def test_equal_to_the_sources(compiled: list[Path]) -> None:
    script = (
        "import tests.support.pure, workers.formats.tarindex.reader as reader\n"
        "assert reader.__file__.endswith('.py'), reader.__file__\n"
        "from tests.unit.formats.test_compiled import results\n"
        "print(results())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == results().splitlines()


def test_not_stale(compiled: list[Path]) -> None:
    """A compiled module shadows its source, so it must be younger; ``make dev`` sees to it."""
    for path in compiled:
        source = path.with_name(path.name.partition(".")[0] + ".py")
        assert source.stat().st_mtime <= path.stat().st_mtime, f"{source.name}: run make dev"
