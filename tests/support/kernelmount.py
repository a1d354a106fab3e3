"""Mounts an EROFS image with the running kernel, straight from a file, and walks it."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import missing

_MS_RDONLY = 1
_MNT_DETACH = 2


@contextmanager
def mounted(image: Path, where: Path) -> Iterator[Path]:
    """``image`` mounted read-only at ``where``; skips or fails where this machine cannot."""
    if os.geteuid() != 0:
        missing("mounting needs root")
    where.mkdir(exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.mount(os.fsencode(image), os.fsencode(where), b"erofs", _MS_RDONLY, None)
    if done != 0:
        error = ctypes.get_errno()
        known = Path("/proc/filesystems").read_text().split()
        if "erofs" not in known or error in (1, 15, 19):  # EPERM, ENOTBLK, ENODEV
            missing(f"the kernel cannot mount EROFS from a file here: {os.strerror(error)}")
        raise OSError(error, f"mount {image}: {os.strerror(error)}")
    try:
        yield where
    finally:
        libc.umount2(os.fsencode(where), _MNT_DETACH)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the kernel (or a tar) says of one path; ``identity`` is equal for linked names."""

    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    nlink: int
    rdev: tuple[int, int]
    target: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    content: bytes


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    names = os.listxattr(path, follow_symlinks=False)
    return tuple(sorted((n, os.getxattr(path, n, follow_symlinks=False)) for n in names))


def walk(root: Path) -> tuple[dict[bytes, Seen], dict[bytes, int]]:
    """(path -> what is seen, path -> inode number) of everything below ``root``; times in ns."""
    seen: dict[bytes, Seen] = {}
    numbers: dict[bytes, int] = {}
    base = os.fsencode(root)
    stack = [b""]
    while stack:
        path = stack.pop()
        full = base + b"/" + path
        info = os.lstat(full)
        kind = stat.S_IFMT(info.st_mode)
        numbers[path] = info.st_ino
        device = (0, 0)
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            device = (os.major(info.st_rdev), os.minor(info.st_rdev))
        seen[path] = Seen(
            kind=kind,
            mode=stat.S_IMODE(info.st_mode),
            uid=info.st_uid,
            gid=info.st_gid,
            mtime=info.st_mtime_ns,
            size=info.st_size if kind == stat.S_IFREG else 0,
            nlink=info.st_nlink,
            rdev=device,
            target=os.readlink(full) if kind == stat.S_IFLNK else b"",
            xattrs=_xattrs(full),
            content=Path(os.fsdecode(full)).read_bytes() if kind == stat.S_IFREG else b"",
        )
        if kind == stat.S_IFDIR:
            stack.extend((path + b"/" + name).lstrip(b"/") for name in os.listdir(full))
    return seen, numbers
