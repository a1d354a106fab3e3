"""The reference tool: a real mkfs.erofs, run on tars held in memory."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.support.tools import ROOT, missing
from tests.support.vectors import vector_uuid

TOOLS = ROOT / ".cache" / "erofs-utils"
#: The release that ``.ci/get-erofs-utils`` fetches.
VERSION = "1.8.6"

_OPTIONS = {
    "std": ["--aufs", "-T0", "--mkfs-time"],
    "t0": ["--aufs", "-T0"],
    "t17": ["--aufs", "-T1700000000", "--mkfs-time"],
    "noaufs": ["-T0", "--mkfs-time"],
}


def tool(name: str) -> Path:
    """``mkfs.erofs``, ``dump.erofs`` or ``fsck.erofs``."""
    path = TOOLS / name
    if not path.exists():
        missing(f"{name} is not there; run .ci/get-erofs-utils .cache/erofs-utils")
    return path


@dataclass(frozen=True, slots=True)
class Mkfs:
    """mkfs.erofs with a folder for its output."""

    program: Path
    folder: Path

    def index(self, tar: bytes, option_set: str = "std") -> bytes | None:
        """The index it writes, or None where it refuses the tar or crashes."""
        out = self.folder / "index.erofs"
        out.unlink(missing_ok=True)
        done = subprocess.run(
            [
                self.program,
                "--tar=i",
                "--quiet",
                *_OPTIONS[option_set],
                "-U",
                str(UUID(bytes=vector_uuid())),
                out,
            ],
            input=tar,
            capture_output=True,
            timeout=60,
        )
        return out.read_bytes() if done.returncode == 0 else None


def mkfs(folder: Path) -> Mkfs:
    """The reference tool; skips or fails the test where it is missing."""
    return Mkfs(tool("mkfs.erofs"), folder)
