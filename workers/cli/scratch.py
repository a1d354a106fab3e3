"""Scratch space of commands that run without a service."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from workers.layers.spool import Spool

#: The spool of a command is bounded by the disk alone.
_UNBOUNDED = 1 << 62


def command_spool(folder: Path | None = None) -> Spool:
    """Return a spool in ``folder``, or in one that all commands of this user share."""
    return Spool(folder or _own_folder(), _UNBOUNDED)


def _own_folder() -> Path:
    """A folder that only this user can write; one for all runs, so that orphans are found."""
    folder = Path(tempfile.gettempdir()) / f"verilayer-spool-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
        return folder
    # Someone else made it: leaves that they could change would give a wrong root hash.
    return Path(tempfile.mkdtemp(prefix="verilayer-spool-"))
