"""Prints how far our index equals the reference tool's: ``make conformance``.

Vectors of all versions, freshly seeded random archives against the real mkfs.erofs (their number:
DIFFERENTIAL_EXAMPLES), and realistic layers, those of the benchmark.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from tests.bench.layers import layer
from tests.support.reference import TOOLS, VERSION, Mkfs
from tests.support.tarmaker import seeded_tar
from tests.support.tools import ROOT
from tests.support.vectors import (
    build,
    expectations,
    large_tar,
    manifest,
    outcome,
    tar_bytes,
    vector_uuid,
)
from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions

_CHUNK = 250


def vectors() -> int:
    """Compare all small vectors; the number of mismatches."""
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for case in expectations():
        total[case.version] += 1
        if outcome(tar_bytes(case.vector), case.version, case.option_set) != case.sha256:
            wrong[case.version] += 1
            print(f"  differs: {case.vector} {case.version} {case.option_set}")
    for version, count in total.items():
        print(f"vectors {version:7} {count - wrong[version]}/{count} equal")
    return wrong.total()


def large_vectors() -> int:
    """Compare the generated large vectors, streamed; the number of mismatches."""
    wrong = 0
    results = manifest()["large"]["results"]
    for name, expected in results.items():
        builder = TarIndexBuilder(TarIndexOptions(uuid=vector_uuid()))
        for chunk in large_tar(name):
            builder.feed(chunk)
        wrong += sha256(builder.finish().data).hexdigest() != expected["index_sha256"]
    print(f"vectors large   {len(results) - wrong}/{len(results)} equal")
    return wrong


def _compare(first: int) -> Counter[str]:
    """Compare the archives of _CHUNK seeds from ``first`` on."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        tool = Mkfs(TOOLS / "mkfs.erofs", Path(folder))
        for seed in range(first, first + _CHUNK):
            tar = seeded_tar(seed)
            expected = tool.index(tar)
            try:
                ours: bytes | None = build(tar, VERSION).data
            except FormatError as error:
                ours = None
                if error.code == "builder-undefined":  # mkfs.erofs goes on in freed memory
                    counts["undefined"] += 1
                    continue
            if ours != expected:
                counts["differ"] += 1
                print(f"  differs: seed {seed}")
            counts["refused" if expected is None else "indexed"] += 1
    return counts


def random_archives(count: int) -> int:
    """Compare ``count`` random archives with the real tool; the number of mismatches."""
    base = int.from_bytes(os.urandom(5), "little")
    started = time.perf_counter()
    totals: Counter[str] = Counter()
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for counts in pool.map(_compare, range(base, base + count, _CHUNK)):
            totals.update(counts)
    print(
        f"random archives, mkfs.erofs {VERSION}: {totals['indexed'] + totals['refused']} "
        f"({totals['indexed']} indexed, {totals['refused']} refused by both), "
        f"{totals['undefined']} undefined, {totals['differ']} differ; seeds from {base}, "
        f"{time.perf_counter() - started:.0f} s"
    )
    return totals["differ"]


def layers() -> int:
    """Compare realistic layers with the real tool; the number of mismatches."""
    wrong = 0
    folder = ROOT / ".cache" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("npm", "site", "tiny100k", "minbase"):
        path = layer(folder, name)
        with tempfile.TemporaryDirectory() as work:
            out = Path(work) / "index"
            argv = [str(TOOLS / "mkfs.erofs"), "--tar=i", "--aufs", "--quiet", "-T0", "--mkfs-time"]
            argv += ["-U", str(UUID(bytes=vector_uuid())), str(out)]
            with path.open("rb") as tar:
                subprocess.run(argv, stdin=tar, check=True, capture_output=True)
            expected = out.read_bytes()
        started = time.process_time()
        builder = TarIndexBuilder(TarIndexOptions(uuid=vector_uuid(), version=VERSION))
        with path.open("rb") as tar:
            while chunk := tar.read(1 << 20):
                builder.feed(chunk)
        index = builder.finish()
        seconds = time.process_time() - started
        equal = index.data == expected
        wrong += not equal
        print(
            f"layer {path.stem:9} {'equal' if equal else 'DIFFERS'}: {index.entries} entries, "
            f"{path.stat().st_size / 1e6:.0f} MB, {seconds:.2f} s CPU "
            f"({seconds / max(index.entries, 1) * 1e6:.1f} us an entry)"
        )
    return wrong


def main() -> int:
    """Print everything; exit status 1 when anything differs."""
    import workers.formats.tarindex.reader as reader

    compiled = not str(reader.__file__).endswith(".py")
    print(f"formats are {'compiled' if compiled else 'interpreted'}")
    count = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "10000"))
    wrong = vectors() + large_vectors() + random_archives(count) + layers()
    print("conformance: everything equal" if wrong == 0 else f"conformance: {wrong} DIFFER")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
