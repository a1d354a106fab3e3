"""Cold start of one image, four ways, on a real containerd: ``make bench-node``.

Every round has a new containerd root, and the ways take turns within it, so that they see the same
machine. ``start`` is ``ctr image pull`` plus ``ctr run true``; bytes are the bodies that the
registry sent. The registry is on this host: a real network adds to every byte.

::

    overlayfs     pull and unpack
    erofs         pull and convert on the node with the real mkfs.erofs
    warm          pull with the layer in the cache
    fetch+start   verilayer node fetch into an empty cache (the command, Python's start included)
    tar-index     pull in containerd's own tar index mode; containers do not start from it
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from app.oci.digest import DiffID, Digest
from tests.bench.layers import layer
from tests.bench.nodeplot import plot
from tests.support.containerd import Differ, containerd
from tests.support.node_images import PackedLayer, PushedImage, convert_image, push_packed
from tests.support.node_stand import NodeStand, node_stand
from tests.support.reference import tool
from tests.support.tools import ROOT

MODES = ("overlayfs", "erofs", "warm", "fetch+start", "tar-index")


@dataclass(frozen=True, slots=True)
class Sample:
    """One cold start; seconds, and bytes the registry sent."""

    fetch: float
    pull: float
    run: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Subject:
    """The image and everything around it."""

    stand: NodeStand
    image: PushedImage
    warm: Path

    def overlayfs(self) -> Sample:
        return self._start(self.warm.parent / "none", "overlayfs")

    def erofs(self) -> Sample:
        return self._start(self.warm.parent / "none", differ="erofs")

    def tar_index(self) -> Sample:
        return self._start(self.warm.parent / "none", differ="erofs", tar_index=True)

    def warmed(self) -> Sample:
        return self._start(self.warm)

    def fetched(self) -> Sample:
        cache = Path(tempfile.mkdtemp(dir=self.warm.parent))
        self.stand.forget()
        seconds = timed(lambda: self._fetch(cache))
        sent = self.stand.bytes_sent()
        one = self._start(cache)
        shutil.rmtree(cache)
        return Sample(seconds, one.pull, one.run, one.bytes + sent)

    def _fetch(self, cache: Path) -> None:
        arguments = self.stand.fetch_arguments(self.image.reference)
        arguments[arguments.index("--cache") + 1] = str(cache)
        subprocess.run(self.stand.node_command(*arguments), check=True, capture_output=True)

    def _start(
        self,
        cache: Path,
        snapshotter: str = "erofs",
        differ: Differ = "walking",
        tar_index: bool = False,
    ) -> Sample:
        self.stand.forget()
        tools = tool("mkfs.erofs").parent
        with containerd(cache, differ=differ, tar_index=tar_index, tools=tools) as daemon:
            pull = timed(lambda: daemon.pull(self.image.reference, snapshotter))
            sent = self.stand.bytes_sent()
            if tar_index:
                return Sample(0.0, pull, 0.0, sent)
            run = timed(
                lambda: daemon.output(self.image.reference, "/bin/true", snapshotter=snapshotter)
            )
        return Sample(0.0, pull, run, sent)


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(folder: Path, tar: Path, rounds: int) -> dict[str, Any]:
    """Run everything on a layer (``tar`` and beside it ``tar``.gz) and return medians."""
    with node_stand(folder) as stand:
        packed = PackedLayer(
            tar.with_name(f"{tar.name}.gz").read_bytes(),
            "gzip",
            DiffID(Digest.of(tar.read_bytes())),
        )
        image = push_packed(stand.registry, "bench/image", [packed], ["/bin/true"])
        convert_image(stand.registry, image, folder / "spool", signer=stand.signer)
        stand.fetch(image.reference)
        subject = Subject(stand, image, stand.cache)
        ways: dict[str, Callable[[], Sample]] = dict(
            zip(
                MODES,
                (
                    subject.overlayfs, subject.erofs, subject.warmed, subject.fetched,
                    subject.tar_index,
                ),
                strict=True,
            )
        )  # fmt: skip
        samples: dict[str, list[Sample]] = {mode: [] for mode in MODES}
        for number in range(rounds):
            for mode, way in ways.items():
                print(f"bench-node: round {number + 1}, {mode}", file=sys.stderr, flush=True)
                samples[mode].append(way())
        size = len(packed.data)
    return {
        "layer": tar.stem,
        "compressed_bytes": size,
        "tar_bytes": tar.stat().st_size,
        "rounds": rounds,
        "machine": _machine(),
        "modes": {mode: _summary(taken) for mode, taken in samples.items()},
    }


def _summary(taken: list[Sample]) -> dict[str, Any]:
    return {
        "fetch": median(one.fetch for one in taken),
        "pull": median(one.pull for one in taken),
        "run": median(one.run for one in taken),
        "total": median(one.fetch + one.pull + one.run for one in taken),
        "all_totals": [round(one.fetch + one.pull + one.run, 3) for one in taken],
        "bytes": max(one.bytes for one in taken),
    }


def _machine() -> dict[str, str]:
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout
    return {
        "cpu": model[1] if model else "unknown",
        "cores": str(info.count("processor\t")),
        "kernel": kernel.strip(),
    }


def table(result: dict[str, Any]) -> str:
    """Lines for people."""
    lines = [
        (
            f"layer {result['layer']}: {result['tar_bytes'] / 1e6:.0f} MB, "
            f"{result['compressed_bytes'] / 1e6:.0f} MB compressed; medians of {result['rounds']} "
            f"rounds; {result['machine']['cpu']}, {result['machine']['cores']} cores"
        ),
        f"{'':12} {'fetch s':>8} {'pull s':>8} {'run s':>8} {'total s':>8} {'bytes sent':>12}",
    ]
    for mode, one in result["modes"].items():
        run = "fails" if mode == "tar-index" else f"{one['run']:.2f}"
        lines.append(
            f"{mode:12} {one['fetch']:8.2f} {one['pull']:8.2f} {run:>8} {one['total']:8.2f} "
            f"{one['bytes']:12,}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write ``bench-node.json`` and ``bench-node.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layer", default="minbase")
    parser.add_argument("--out", type=Path, default=ROOT / "out")
    arguments = parser.parse_args()
    tar = layer(ROOT / ".cache" / "bench", arguments.layer)
    with tempfile.TemporaryDirectory(prefix="bench-node-") as folder:
        result = measure(Path(folder), tar, arguments.rounds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "bench-node.json").write_text(json.dumps(result, indent=1) + "\n")
    plot(result, arguments.out / "bench-node.png")
    print(table(result))


if __name__ == "__main__":
    main()
