"""A layer far larger than memory should be, made on the fly and piped in; and start-up time."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import IO, Any

from isal import isal_zlib

_FILE = 8 << 20


def tar_stream(size: int) -> Iterator[bytes]:
    """Yield a tar of about ``size`` bytes: files of 8 MiB, each different, halfway compressible."""
    rng = Random(5)
    noise = rng.randbytes(1 << 20)
    for number in range(size // _FILE):
        info = tarfile.TarInfo(f"data/{number:05d}.bin")
        info.size = _FILE
        yield info.tobuf(tarfile.USTAR_FORMAT)
        start = rng.randrange(1 << 19)
        part = noise[start : start + (1 << 19)]
        yield (part + bytes(1 << 19)) * (_FILE >> 20)
    yield bytes(10240)


def _pipe(size: int, packed: bool, into: IO[bytes]) -> None:
    packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31) if packed else None
    for piece in tar_stream(size):
        into.write(packer.compress(piece) if packer else piece)
    if packer:
        into.write(packer.flush())
    into.close()


def streamed_apart(size: int, packed: bool) -> dict[str, Any]:
    """Return ``streamed`` from a small process: a peak RSS counts what it was forked from."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.streaming", str(size), "gz" if packed else "tar"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def streamed(size: int, packed: bool) -> dict[str, Any]:
    """Pipe a layer of ``size`` bytes into ``verilayer layer build -`` and measure that process."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[2] / ".cache") as spool:
        peak = _Watched(Path(spool))
        start = time.perf_counter()
        process = subprocess.Popen(
            [*_COMMAND, "-", "--json", "--spool", spool],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert process.stdin is not None
        _pipe(size, packed, process.stdin)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        temp = peak.stop()
    if process.returncode:
        raise SystemExit("bench: verilayer layer build failed")
    tar_bytes = sum(map(len, tar_stream(size)))
    return {
        "form": ".tar.gz" if packed else ".tar",
        "tar_bytes": tar_bytes,
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "rss": used.ru_maxrss << 10,
        "temp": temp,
        "temp_share": temp / tar_bytes,
    }


class _Watched:
    """The most that lies in a folder, looked at every 20 ms."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._most = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._most = max(self._most, sum(map(_allocated, self._folder.rglob("*"))))

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._most


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512 if path.is_file() else 0
    except OSError:
        return 0


_COMMAND = [str(Path(sys.executable).with_name("verilayer")), "layer", "build"]


def startup(folder: Path, tries: int = 9) -> dict[str, float]:
    """Seconds of the whole command: its help, and a real build of a layer of one file."""
    tiny = folder / "tiny.tar"
    with tarfile.open(tiny, "w") as tar:
        info = tarfile.TarInfo("hello")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    return {
        "help": _median([*_COMMAND, "--help"], tries),
        "build": _median([*_COMMAND, str(tiny), "--json"], tries),
    }


def _median(command: list[str], tries: int) -> float:
    found = []
    for _ in range(tries):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return statistics.median(found)


if __name__ == "__main__":
    print(json.dumps(streamed(int(sys.argv[1]), sys.argv[2] == "gz")))
