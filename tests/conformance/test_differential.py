"""Random archives: the real mkfs.erofs and we write the same bytes, or both refuse."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.support.reference import VERSION, Mkfs, mkfs
from tests.support.tarmaker import tars
from tests.support.vectors import build
from workers.formats.erofs.dump import dump
from workers.formats.errors import FormatError

EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "1200"))
_SHARDS = 6


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Mkfs:
    return mkfs(tmp_path_factory.mktemp("mkfs"))


def _compare(tool: Mkfs, tar: bytes, option_set: str = "std") -> None:
    expected = tool.index(tar, option_set)
    try:
        ours = build(tar, VERSION, option_set).data
    except FormatError as error:
        # Where mkfs.erofs goes on in freed memory there is nothing to be equal to.
        if expected is not None and error.code != "builder-undefined":
            pytest.fail(f"we refuse what mkfs.erofs takes: {error}")
        return
    assert expected is not None, "we take what mkfs.erofs refuses"
    if ours != expected:
        lines = unified_diff(list(dump(expected)), list(dump(ours)), "mkfs.erofs", "ours", n=0)
        pytest.fail("\n".join(lines) or "bytes differ, dumps do not")


@pytest.mark.real
@pytest.mark.parametrize("shard", range(_SHARDS))
def test_random_archives(shard: int, tool: Mkfs) -> None:
    @seed(int.from_bytes(os.urandom(6), "little"))
    @settings(
        max_examples=EXAMPLES // _SHARDS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tars())
    def compare(tar: bytes) -> None:
        _compare(tool, tar)

    compare()


@pytest.mark.real
@pytest.mark.parametrize("option_set", ["t0", "t17", "noaufs"])
def test_option_sets(option_set: str, tool: Mkfs) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tars())
    def compare(tar: bytes) -> None:
        _compare(tool, tar, option_set)

    compare()


@pytest.mark.real
def test_real_directory(tool: Mkfs, tmp_path: Path) -> None:
    """An archive of real files, written by the tar module in each of its formats."""
    import tarfile

    source = Path(tarfile.__file__).parent
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as archive:
            archive.add(source / "json", "lib/json")
            archive.add(source / "email", "lib/email")
        _compare(tool, path.read_bytes())
