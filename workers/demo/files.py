"""Layers of the demonstration: tars made from real files of this machine."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import zstandard

from app.errors import ConfigurationError

#: Of the standard library: enough to be a real layer of a thousand files, not the whole of it.
_SKIPPED = {"__pycache__", "site-packages", "test", "tests", "idlelib", "ensurepip", "config-3.11"}
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_PLAIN_ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/os-release": 'ID=verilayer-demo\nPRETTY_NAME="verilayer demo"\n',
}


def write_runtime(out: Path) -> None:
    """Write a tar of busybox with a hard link for each applet, ``/etc``, ``/dev`` nodes.

    Raises ``ConfigurationError`` without busybox.
    """
    busybox = shutil.which("busybox")
    if busybox is None:
        raise ConfigurationError(
            "busybox is not installed", advice="apt-get install busybox-static"
        )
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("bin", "dev", "etc", "proc", "tmp", "usr", "usr/bin"):
            tar.addfile(_entry(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755))
        tar.add(busybox, "bin/busybox", filter=_owned_by_root)
        for applet in sorted(set(applets.stdout.split()) - {"busybox"}):
            link = _entry(f"bin/{applet}", tarfile.LNKTYPE, 0o755)
            link.linkname = "bin/busybox"
            tar.addfile(link)
        for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("urandom", 1, 9)):
            node = _entry(f"dev/{name}", tarfile.CHRTYPE, 0o666)
            node.devmajor, node.devminor = major, minor
            tar.addfile(node)
        for name, text in _PLAIN_ETC.items():
            _add_text(tar, name, text)
        link = _entry("usr/bin/env", tarfile.SYMTYPE, 0o777)
        link.linkname = "/bin/env"
        tar.addfile(link)


def write_library(out: Path) -> None:
    """Write a tar of this Python's standard library: text files that run on any platform."""
    _write_folder(out, Path(sysconfig.get_paths()["stdlib"]), f"usr/lib/python{_VERSION}")


def write_dependencies(out: Path) -> None:
    """Write a tar of the installed packages, without what is compiled for this machine."""
    target = f"opt/venv/lib/python{_VERSION}/site-packages"
    _write_folder(out, Path(sysconfig.get_paths()["purelib"]), target)


def _write_folder(out: Path, source: Path, target: str) -> None:
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in _walk(source):
            if path.suffix != ".so" and not path.is_symlink():
                name = f"{target}/{path.relative_to(source)}"
                tar.add(path, name, recursive=False, filter=_owned_by_root)


def write_change(out: Path, platform: str) -> None:
    """Write what a build's last step leaves: an application, an opaque directory, a whiteout."""
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_entry("app", tarfile.DIRTYPE, 0o755))
        _add_text(tar, "app/main.py", f"print('built for {platform}')\n")
        _add_text(tar, "app/" + "deeply/nested/" * 12 + "name-over-one-hundred-bytes.txt", "long\n")
        _add_text(tar, "etc/.wh.os-release", "")
        tar.addfile(_entry("tmp", tarfile.DIRTYPE, 0o1777))
        _add_text(tar, "tmp/.wh..wh..opq", "")


def compress(tar: Path, compression: str) -> Path:
    """Compress beside the tar, deterministically; ``compression`` as in layer media types."""
    out = tar.with_name(f"{tar.name}.{compression or 'plain'}")
    with tar.open("rb") as source, out.open("wb") as target:
        if compression == "gzip":
            with gzip.GzipFile("", "wb", 6, target, mtime=0) as stream:
                shutil.copyfileobj(source, stream)
        elif compression == "zstd":
            zstandard.ZstdCompressor(level=3).copy_stream(source, target)
        else:
            shutil.copyfileobj(source, target)
    return out


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _SKIPPED or path.name.startswith("config-"):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = _entry(name, tarfile.REGTYPE, 0o644)
    entry.size = len(text.encode())
    tar.addfile(entry, BytesIO(text.encode()))


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
