"""Runs the peer and ourselves and measures wall, CPU, peak RSS and temporary bytes of each."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.oci.digest import Digest
from workers.layers.building import build_layer
from workers.layers.built import ExpectedLayer, LayerOptions
from workers.layers.decompression import detect
from workers.layers.spool import Spool

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds of wall and CPU, peak RSS and temporary space in bytes."""

    wall: float
    cpu: float
    rss: int
    temp: int
    stages: dict[str, float] = field(default_factory=dict)


def run_peer(mkfs: Path, layer: Path, work: Path) -> Sample:
    """Run peer.sh in a process whose children alone are counted."""
    shutil.rmtree(work, ignore_errors=True)
    command = ["bash", str(HERE / "peer.sh"), str(mkfs), str(layer), str(work)]
    used = subprocess.run(
        [sys.executable, "-c", _CHILDREN, *command], capture_output=True, text=True, check=True
    )
    wall, cpu, rss = json.loads(used.stdout.splitlines()[-1])
    # The blob is the result; what had to lie beside it is temporary.
    temp = (work / "layer.tar").stat().st_size
    shutil.rmtree(work)
    return Sample(wall, cpu, rss, temp)


_CHILDREN = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([wall, used.ru_utime + used.ru_stime, used.ru_maxrss << 10]))
"""


class WarmProcess:
    """A process that builds layers one after the other, as a worker's does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.measuring"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
        )

    def run(self, layer: Path, work: Path) -> Sample:
        """Build ``layer`` there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{layer}\0{work}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return Sample(**answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _serve() -> None:
    for line in sys.stdin:
        layer, _, work = line.rstrip("\n").partition("\0")
        print(json.dumps(_build(Path(layer), Path(work))), flush=True)


def _build(layer: Path, work: Path) -> dict[str, object]:
    """Index and tree of ``layer`` as files in ``work``, measured like the peer."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    # What a worker knows from the manifest.
    with layer.open("rb") as file:
        digest = Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    expected = ExpectedLayer(digest=digest, size=layer.stat().st_size)
    Path("/proc/self/clear_refs").write_text("5")
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    spool = Spool(work / "spool", 1 << 40)
    with layer.open("rb", buffering=0) as file:
        chunks = iter(lambda: file.read(1 << 20), b"")
        kind = detect(file.read(4))
        file.seek(0)
        with build_layer(
            chunks,
            compression=kind,
            options=LayerOptions(single_device=False),
            spool=spool,
            expected=expected,
        ) as built:
            (work / "index.erofs").write_bytes(built.device_table.index)
            with (work / "tree.verity").open("wb", buffering=0) as out:
                built.device_table.tree.write(out)
            wall = time.perf_counter() - start
            temp = sum(_allocated(path) for path in (work / "spool").rglob("*"))
            stages = dict(built.timings)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shutil.rmtree(work)
    return {"wall": wall, "cpu": cpu, "rss": _peak_rss(), "temp": temp, "stages": stages}


def _allocated(path: Path) -> int:
    return os.stat(path).st_blocks * 512 if path.is_file() else 0


def _peak_rss() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise SystemExit("bench: /proc/self/status has no VmHWM")


if __name__ == "__main__":
    _serve()
