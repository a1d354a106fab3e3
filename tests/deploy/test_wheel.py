from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.tools import ROOT


@pytest.mark.slow
def test_the_wheel_has_the_extension_the_data_and_no_tests(tmp_path: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(tmp_path / "source", filter="data")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"),
            *("-w", str(tmp_path / "wheel"), str(tmp_path / "source")),
        ],
        env={**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheel").glob("verilayer-1.2.3-cp3*-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "workers/_native/_blocks.abi3.so" in names
    assert any(name.startswith("verilayer_formats__mypyc") for name in names)
    scripts = {str(path.relative_to(ROOT)) for path in ROOT.glob("app/**/*.lua")}
    assert scripts
    assert scripts <= set(names)
    assert "app/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "deploy/"))]
