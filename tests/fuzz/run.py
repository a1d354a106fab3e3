"""Coverage-guided fuzzing of every parser: ``make fuzz SECONDS=600`` (for each target).

Findings land in ``tests/fuzz/findings/TARGET`` and are regression tests from then on; the corpus
grows in ``.cache/fuzz``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = ROOT / "tests" / "fuzz" / "findings"
CORPUS = ROOT / ".cache" / "fuzz"
NAMES = ("tar_index", "pax_records", "image")


def seeds(target: str) -> Iterator[tuple[str, bytes]]:
    """First inputs of ``target``, from the vectors."""
    vectors = ROOT / "tests" / "vectors"
    if target == "image":
        for path in sorted((vectors / "index").glob("*.idx")):
            yield path.stem, path.read_bytes()
        return
    for path in sorted((vectors / "tars").glob("*.tar")):
        data = path.read_bytes()
        if target == "tar_index":
            if len(data) <= 20_000:
                yield path.stem, b"\x08\x1f" + data
            continue
        for at in range(0, len(data), 512):
            if data[at + 156 : at + 157] in (b"x", b"g"):
                digits = data[at + 124 : at + 135]
                size = int(digits, 8) if digits.isdigit() else 0
                yield f"{path.stem}-{at}", data[at + 512 : at + 512 + size]


def fuzz(target: str, seconds: int, runs: int) -> None:
    """Run one target in this process until the time is over; ends the process."""
    import atheris

    import tests.support.pure  # noqa: F401  # the fuzzer instruments sources

    with atheris.instrument_imports(include=["workers.formats"]):
        from tests.fuzz.targets import TARGETS
    corpus = CORPUS / target
    corpus.mkdir(parents=True, exist_ok=True)
    for name, data in seeds(target):
        (corpus / name).write_bytes(data)
    found = FINDINGS / target
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-artifact_prefix={found}/",
        "-max_len=24000",
        "-timeout=20",
        "-rss_limit_mb=1500",
        "-print_final_stats=1",
        "-verbosity=0",
        str(corpus),
    ]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


def main() -> int:
    """Fuzz every target in a process of its own; exit status 1 when one found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--target", choices=NAMES)
    options = parser.parse_args()
    if options.target:
        fuzz(options.target, options.seconds, options.runs)
        return 0
    failed = []
    for name in NAMES:
        print(f"fuzz: {name} for {options.seconds} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz.run", "--target", name]
        done = subprocess.run(
            [*command, "--seconds", str(options.seconds), "--runs", str(options.runs)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stats = [line for line in done.stdout.splitlines() if line.startswith("stat::")]
        print("\n".join(stats) if done.returncode == 0 else done.stdout[-4000:], flush=True)
        if done.returncode:
            failed.append(name)
    print(f"fuzz: findings in {', '.join(failed)}" if failed else "fuzz: nothing found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
