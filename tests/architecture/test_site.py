from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.tools import ROOT


def test_the_documentation_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("mkdocs"), "build", "--strict"),
            *("--site-dir", tmp_path / "site"),
        ],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "architecture" / "index.html").exists()
