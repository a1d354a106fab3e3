"""The arm64 form of the hashing, run by qemu's user-mode emulation."""

from __future__ import annotations

import platform
import subprocess

import pytest

from tests.support.tools import ROOT, missing

_FOLDER = ROOT / ".cache" / "arm64"


@pytest.mark.real
@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere the other tests run it")
def test_the_sha2_instructions_of_arm64_hash_as_hashlib_does() -> None:
    python = _FOLDER / "python"
    if not python.exists():
        missing("no arm64 interpreter; run .ci/get-arm64-python .cache/arm64")
    script = ROOT / "tests" / "support" / "check_blocks.py"
    done = subprocess.run(
        [str(python), str(script), str(_FOLDER)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    form, made = done.stdout.split()
    assert form == "arm-sha2"
    assert int(made) > 100
