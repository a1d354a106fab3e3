"""Prints how the runtime and our indexes see the same archives: ``make differential``.

``--archives N`` compares that many archives, from seed ``--first`` on. The figure that matters is
the last one: differences without a warning.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from app.catalog.builders import DEFAULT_BUILDER, offered
from tests.differential.archives import archive
from tests.differential.compare import Comparison, compare, undeclared
from tests.differential.runtime import runtime_version

_CHUNK = 500
_SHOWN = 10


@dataclass(slots=True)
class Totals:
    """What many comparisons came to."""

    archives: int = 0
    refused_by_both: int = 0
    #: Only by us, as mkfs.erofs does: nothing is indexed, so nothing can differ.
    refused_by_us: int = 0
    compared: int = 0
    warned: int = 0
    differing: int = 0
    #: Kind -> archives with such a warning, and those of them that do differ.
    kinds: Counter[str] = field(default_factory=Counter)
    differing_kinds: Counter[str] = field(default_factory=Counter)
    #: Seed and the first difference of each archive that differs without a warning.
    undeclared: list[str] = field(default_factory=list)

    def add(self, seed: int, comparison: Comparison) -> None:
        """Count one archive."""
        self.archives += 1
        if comparison.refusal:
            self.refused_by_both += comparison.runtime_refuses
            self.refused_by_us += not comparison.runtime_refuses
            return
        kinds = {warning.kind for warning in comparison.warnings}
        self.compared += 1
        self.warned += bool(kinds)
        self.differing += bool(comparison.differences)
        self.kinds.update(kinds)
        if comparison.differences:
            self.differing_kinds.update(kinds)
        for difference in undeclared(comparison)[:1]:
            self.undeclared.append(f"seed {seed}: {difference}")

    def merge(self, other: Totals) -> None:
        """Add another part's totals."""
        self.archives += other.archives
        self.refused_by_both += other.refused_by_both
        self.refused_by_us += other.refused_by_us
        self.compared += other.compared
        self.warned += other.warned
        self.differing += other.differing
        self.kinds.update(other.kinds)
        self.differing_kinds.update(other.differing_kinds)
        self.undeclared += other.undeclared

    def lines(self) -> Iterable[str]:
        """For people."""
        yield f"archives              {self.archives:8}"
        yield f"refused by both       {self.refused_by_both:8}"
        yield f"refused by us alone   {self.refused_by_us:8}  (as mkfs.erofs does)"
        yield f"compared              {self.compared:8}"
        yield f"warned                {self.warned:8}"
        yield f"differing             {self.differing:8}"
        for kind, count in self.kinds.most_common():
            yield f"  {kind:20}{count:8}  {self.differing_kinds[kind]} of them differ"
        for line in self.undeclared[:_SHOWN]:
            yield f"  {line}"
        yield f"undeclared differences{len(self.undeclared):8}"


def totals(first: int, count: int, version: str = DEFAULT_BUILDER) -> Totals:
    """Compare ``count`` archives from seed ``first`` on, in this process."""
    result = Totals()
    seeds = range(first, first + count)
    for seed, comparison in zip(seeds, compare([archive(s) for s in seeds], version), strict=True):
        result.add(seed, comparison)
    return result


def _part(arguments: tuple[int, int, str]) -> Totals:
    return totals(*arguments)


def parallel_totals(first: int, count: int, version: str = DEFAULT_BUILDER) -> Totals:
    """The same, by as many processes as there are processors."""
    last = first + count
    parts = [(at, min(_CHUNK, last - at), version) for at in range(first, last, _CHUNK)]
    result = Totals()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(_part, parts):
            result.merge(part)
    return result


def main(arguments: Sequence[str]) -> int:
    """Print the figures; exit status 1 when something differs without a warning."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.report")
    parser.add_argument("--archives", type=int, default=20_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--version", default=DEFAULT_BUILDER, choices=offered(), help="the builder's"
    )
    chosen = parser.parse_args(arguments)
    started = time.perf_counter()
    found = parallel_totals(chosen.first, chosen.archives, chosen.version)
    print(f"runtime: archive/tar of {runtime_version()}, unpacked as containerd does")
    print(f"builder: {chosen.version}; seeds from {chosen.first}")
    print(*found.lines(), sep="\n")
    print(f"{time.perf_counter() - started:.0f} s")
    return 1 if found.undeclared else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
