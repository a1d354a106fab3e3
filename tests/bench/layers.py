"""Realistic layers for benchmarks, made once and kept in ``.cache/bench``.

Each becomes NAME.tar, NAME.tar.gz (gzip -6) and NAME.tar.zst (zstd -3). They are what layers are
made of in practice: a base system, an application's node_modules, a site-packages folder, and the
worst case, 100,000 files of a few bytes.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

FORMS = {"gz": ".tar.gz", "zst": ".tar.zst", "tar": ".tar"}


def layer(folder: Path, name: str) -> Path:
    """Return ``folder/name.tar``, made with its compressed forms when they are missing."""
    tar = folder / f"{name}.tar"
    if not (folder / f"{name}.tar.zst").exists():
        print(f"bench: making layer {name}", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "src" / name
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        LAYERS[name](source, tar)
        shutil.rmtree(source, ignore_errors=True)
        _run(["gzip", "-6", "-k", "-n", "-f", str(tar)])
        _run(["zstd", "-q", "-3", "-k", "-f", str(tar)])
    return tar


def _minbase(source: Path, tar: Path) -> None:
    _need("debootstrap")
    _run(["debootstrap", "--variant=minbase", "bookworm", str(source)])
    _pack(source, tar, ".")


def _npm(source: Path, tar: Path) -> None:
    if shutil.which("npm") is None:
        _need("npm")
    _run(["npm", "init", "-y"], source)
    packages = ["express", "typescript", "react", "react-dom", "lodash", "webpack", "eslint"]
    _run(["npm", "install", "--no-audit", "--no-fund", *packages], source)
    _pack(source, tar, "node_modules", "--owner=0", "--group=0")


def _site(source: Path, tar: Path) -> None:
    packages = ["numpy", "fastapi", "uvicorn", "requests", "pandas", "sqlalchemy"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run([*pip, "--target", str(source), *packages])
    # pax: fractional mtimes, as most builders write them.
    _pack(source, tar, ".", "--owner=0", "--group=0", "--format=pax")


def _tiny100k(source: Path, tar: Path) -> None:
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as out:
        for number in range(100_000):
            folder = f"app/{number // 1000:03d}/{number // 100 % 10:02d}"
            info = tarfile.TarInfo(f"{folder}/f{number:06d}.txt")
            body = b"file %d\n" % number * (number % 7)
            info.mtime, info.size = 1_700_000_000 + number, len(body)
            out.addfile(info, io.BytesIO(body))


LAYERS: dict[str, Callable[[Path, Path], None]] = {
    "minbase": _minbase,
    "npm": _npm,
    "site": _site,
    "tiny100k": _tiny100k,
}


def _pack(source: Path, tar: Path, what: str, *options: str) -> None:
    _run(
        [
            "tar",
            "--numeric-owner",
            "--sort=name",
            *options,
            "-C",
            str(source),
            "-cf",
            str(tar),
            what,
        ]
    )


def _need(package: str) -> None:
    if shutil.which(package) is None:
        _run([str(Path(__file__).parents[2] / ".ci" / "packages"), package])


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
