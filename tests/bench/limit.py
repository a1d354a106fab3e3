"""What this hardware allows: each stage alone, at full speed, and the best that can come of it.

The stages that have to run are inflate, the digest of the blob, leaves together with the diffID,
and the index. They can overlap, except that an index is laid out and the tree's upper levels are
hashed when the tar has gone by. So on ``n`` cores no arrangement is faster than

    max(longest stage, sum of the streaming stages / n) + layout + upper levels
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.conversion.decompression import DecompressionLimits, Piece, decompress, detect
from workers.formats.erofs.tarindex import TarIndexBuilder, TarIndexOptions
from workers.formats.verity.blocks import LeafHasher, block_hashes

_LIMITS = DecompressionLimits(1 << 40, 1e9)


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds of each stage alone, best of some tries, and what follows from them."""

    decompress: float
    digest: float
    leaves: float
    headers: float
    layout: float
    upper: float
    cores: int

    @property
    def wall(self) -> float:
        """The least wall time."""
        stages = (self.decompress, self.digest, self.leaves, self.headers)
        return max(*stages, sum(stages) / self.cores) + self.layout + self.upper

    @property
    def cpu(self) -> float:
        """The sum of all stages."""
        return self.decompress + self.digest + self.leaves + self.headers + self.layout + self.upper

    def report(self) -> dict[str, float]:
        """For JSON."""
        return {**asdict(self), "wall": self.wall, "cpu": self.cpu}


def measure(layer: Path, tries: int = 3) -> Limit:
    """Measure the stages over ``layer``, whose content is held in memory."""
    blob = layer.read_bytes()
    kind = detect(blob[:4])
    blocks = [blob[at : at + (1 << 20)] for at in range(0, len(blob), 1 << 20)]
    pieces = [bytes(piece) for piece in decompress(blocks, kind, _LIMITS)]
    tree = bytes(sum(map(len, pieces)) // 15)

    def inflate() -> None:
        for _ in decompress(blocks, kind, _LIMITS):
            pass

    def digest() -> None:
        hasher = hashlib.sha256()
        for block in blocks:
            hasher.update(block)

    def leaves() -> None:
        hasher = LeafHasher()
        for piece in pieces:
            hasher.update(piece)

    def upper() -> None:
        # Hashes of the leaf level, and the digest of the whole tree.
        block_hashes(tree[: len(tree) // 512 * 512])
        hashlib.sha256(tree).digest()

    headers, layout = _index(pieces, tries)
    return Limit(
        decompress=_best(inflate, tries) if kind else 0.0,
        # A plain tar's digest is its diffID.
        digest=_best(digest, tries) if kind else 0.0,
        leaves=_best(leaves, tries),
        headers=headers,
        layout=layout,
        upper=_best(upper, tries),
        cores=len(os.sched_getaffinity(0)),
    )


def _index(pieces: Sequence[Piece], tries: int) -> tuple[float, float]:
    found = []
    for _ in range(tries):
        builder = TarIndexBuilder(TarIndexOptions(uuid=bytes(16)))
        start = time.perf_counter()
        for piece in pieces:
            builder.feed(piece)
        middle = time.perf_counter()
        builder.finish()
        found.append((middle - start, time.perf_counter() - middle))
    return min(found, key=sum)


def _best(stage: Callable[[], None], tries: int) -> float:
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        stage()
        best = min(best, time.perf_counter() - start)
    return best
