"""What this hardware allows: each stage alone, at full speed, and the best that can come of it.

The stages that have to run are inflate, the digest of the blob, leaves together with the diffID,
and the index. They can overlap, except that an index is laid out, the tree's upper levels are
hashed, and both are written to files when the tar has gone by. So on ``n`` cores no arrangement is
faster than

    max(longest stage, sum of the streaming stages / n) + layout + upper levels + writing
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.verity.blocks import LeafHasher, block_hashes
from workers.layers.collection import rarely_collected
from workers.layers.decompression import DecompressionLimits, decompress, detect

_LIMITS = DecompressionLimits(1 << 40, 1e9)


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds of each stage alone, and what follows from them."""

    decompress: float
    digest: float
    leaves: float
    headers: float
    layout: float
    upper: float
    write: float
    cores: int

    @property
    def wall(self) -> float:
        """The least wall time."""
        stages = (self.decompress, self.digest, self.leaves, self.headers)
        return max(*stages, sum(stages) / self.cores) + self.after

    @property
    def after(self) -> float:
        """What can only begin when the tar has gone by."""
        return self.layout + self.upper + self.write

    @property
    def cpu(self) -> float:
        """The sum of all stages."""
        return self.decompress + self.digest + self.leaves + self.headers + self.after

    def report(self) -> dict[str, float]:
        """For JSON."""
        return {**asdict(self), "wall": self.wall, "cpu": self.cpu}


class Stages:
    """The stages over one layer, whose content is held in memory."""

    def __init__(self, layer: Path, work: Path) -> None:
        """Read and unpack ``layer``; results are written to ``work``."""
        blob = layer.read_bytes()
        self._kind = detect(blob[:4])
        self._blocks = [blob[at : at + (1 << 20)] for at in range(0, len(blob), 1 << 20)]
        self._pieces = [bytes(piece) for piece in decompress(self._blocks, self._kind, _LIMITS)]
        self._tree = bytes(sum(map(len, self._pieces)) // 15)
        self._work = work

    def measure(self) -> Limit:
        """Run each stage once. A host's speed changes: measure in every round, as all else."""
        headers, layout, index = self._index()
        return Limit(
            # A plain tar is not unpacked, and its digest is its diffID.
            decompress=_seconds(self._decompress) if self._kind else 0.0,
            digest=_seconds(self._digest) if self._kind else 0.0,
            leaves=_seconds(self._leaves),
            headers=headers,
            layout=layout,
            upper=_seconds(self._upper),
            write=_seconds(functools.partial(self._write, index)),
            cores=len(os.sched_getaffinity(0)),
        )

    def _decompress(self) -> None:
        for _ in decompress(self._blocks, self._kind, _LIMITS):
            pass

    def _digest(self) -> None:
        hasher = hashlib.sha256()
        for block in self._blocks:
            hasher.update(block)

    def _leaves(self) -> None:
        hasher = LeafHasher()
        for piece in self._pieces:
            hasher.update(piece)

    def _upper(self) -> None:
        """Hashes of the leaf level, and the digest of the whole tree."""
        block_hashes(self._tree[: len(self._tree) // 512 * 512])
        hashlib.sha256(self._tree).digest()

    def _write(self, index: bytes) -> None:
        with tempfile.TemporaryFile(dir=self._work, buffering=0) as file:
            for data in (index, self._tree):
                for at in range(0, len(data), 1 << 20):
                    file.write(memoryview(data)[at : at + (1 << 20)])

    def _index(self) -> tuple[float, float, bytes]:
        builder = TarIndexBuilder(TarIndexOptions(uuid=bytes(16)))
        with rarely_collected():
            start = time.perf_counter()
            for piece in self._pieces:
                builder.feed(piece)
            middle = time.perf_counter()
            index = builder.finish()
        return middle - start, time.perf_counter() - middle, index.data


def _seconds(stage: Callable[[], None]) -> float:
    start = time.perf_counter()
    stage()
    return time.perf_counter() - start
