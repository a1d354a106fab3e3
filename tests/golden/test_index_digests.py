"""Indexes of our own seeded archives, pinned for every builder version.

The digests were taken when each release of mkfs.erofs gave the same bytes for the same archives.
``python -m tests.golden.test_index_digests`` prints the file again; a difference is a change of
root hashes and wants a reason.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.tarmaker import seeded_tar
from tests.support.vectors import outcome
from workers.formats.erofs.versions import VERSIONS

_FILE = Path(__file__).with_name("index_digests.json")
_SEEDS = 400


def digests(version: str) -> str:
    """The first four bytes of each seed's index digest in hex, or eight dashes for a refusal."""
    return "".join((outcome(seeded_tar(s), version) or "-" * 8)[:8] for s in range(_SEEDS))


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_digests(version: str) -> None:
    pinned: str = json.loads(_FILE.read_text())[version]
    found = digests(version)
    wrong = [s for s in range(_SEEDS) if pinned[8 * s : 8 * s + 8] != found[8 * s : 8 * s + 8]]
    assert wrong == []
    assert len(pinned) == 8 * _SEEDS
    assert pinned.count("-" * 8) < _SEEDS * 0.7


if __name__ == "__main__":
    json.dump({version: digests(version) for version in sorted(VERSIONS)}, sys.stdout, indent=1)
    print()
