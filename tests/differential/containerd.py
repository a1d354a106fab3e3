"""Unpacks archives with containerd's own code into real directories, and reads those back."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.differential.tree import Node
from tests.support.tools import missing, require

_SHARED_MEMORY = Path("/dev/shm")


def unpacking_folder(folder: Path) -> Path:
    """A folder whose file system takes whatever a layer holds: in memory, or else in ``folder``.

    Skips or fails the test where there is none.
    """
    if os.geteuid() != 0:
        missing("unpacking layers with their owners needs root")
    for parent in (_SHARED_MEMORY, folder):
        if parent.is_dir() and _takes_everything(parent):
            made = parent / f"unpacked-{os.getpid()}"
            made.mkdir()
            return made
    raise AssertionError(missing("no file system here takes whiteouts and all xattrs"))


def _takes_everything(folder: Path) -> bool:
    probe = folder / f"probe-{os.getpid()}"
    try:
        os.mknod(probe, stat.S_IFCHR, os.makedev(0, 0))
        os.unlink(probe)
        probe.mkdir()
        for name in ("user.a", "trusted.a", "security.a"):
            os.setxattr(probe, name, b"v")
        os.setxattr(probe, "system.posix_acl_default", b"")
    except OSError:
        return False
    finally:
        if probe.is_dir():
            probe.rmdir()
    return True


def unpack_with_containerd(archives: Sequence[bytes], folder: Path) -> list[Node | str]:
    """For each archive the tree that containerd made of it below ``folder``, or its error."""
    framed = b"".join(len(tar).to_bytes(8, "big") + tar for tar in archives)
    command = [require("unpack", ".ci/get-tarview"), str(folder)]
    done = subprocess.run(command, input=framed, capture_output=True, check=True)
    errors = [json.loads(line) for line in done.stdout.splitlines()]
    return [error or _read(folder / str(number)) for number, error in enumerate(errors)]


def _read(root: Path) -> Node:
    return _node(os.fsencode(root), {})


def _node(path: bytes, known: dict[int, Node]) -> Node:
    info = os.lstat(path)
    if info.st_ino in known:
        return known[info.st_ino]
    kind = stat.S_IFMT(info.st_mode)
    node = known[info.st_ino] = Node(
        kind=kind,
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        mtime=info.st_mtime_ns,
        xattrs={os.fsencode(n): _xattr(path, n) for n in os.listxattr(path, follow_symlinks=False)},
    )
    if kind == stat.S_IFREG:
        content = Path(os.fsdecode(path)).read_bytes()
        node.size, node.content = len(content), hashlib.sha256(content).hexdigest()
    elif kind == stat.S_IFLNK:
        node.target = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        node.device = (os.major(info.st_rdev), os.minor(info.st_rdev))
    elif kind == stat.S_IFDIR:
        node.children = {name: _node(path + b"/" + name, known) for name in os.listdir(path)}
    return node


def _xattr(path: bytes, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return b""  # an empty capability can be set and listed, but not read
