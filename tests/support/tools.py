"""Reference tools that tests need: missing ones are a skip on a desk and a failure in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def require(tool: str, how: str = ".ci/test-packages") -> str:
    """Path of a program, also of those that ``.ci/get-*`` build into ``.cache/go-bin``."""
    found = shutil.which(tool) or shutil.which(tool, path=str(ROOT / ".cache" / "go-bin"))
    return found if found is not None else missing(f"{tool} is not installed; run {how}")


def missing(reason: str) -> str:
    """Skip the test, or fail it where CI is set: nothing may go unchecked there unnoticed."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
