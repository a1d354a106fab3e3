"""Coverage-guided fuzzing of the webhook parsers, each or all in turn.

    python tests/fuzz/webhook_parsers.py DIALECT|all [libFuzzer options, such as -max_total_time=60]

Invariant: any bytes give valid pushes and known reasons, or a ``DeliveryRefused``; never another
exception. The corpus starts from the deliveries of the table tests.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["app.webhooks"]):
    from app.catalog.dialects import DIALECTS
    from app.webhooks.dialects.opening import open_parser
    from tests.support.webhook_cases import CASES, READING_HEADERS
    from tests.support.webhook_invariants import check_parser

    for each in DIALECTS:  # what is imported later is not instrumented
        open_parser(each)


def every(options: list[str]) -> int:
    """Fuzz every parser in a process of its own; 1 when one found something."""
    failed = []
    for dialect in DIALECTS:
        done = subprocess.run(
            [sys.executable, __file__, dialect, "-verbosity=0", "-print_final_stats=1", *options],
            capture_output=True,
            text=True,
            check=False,
        )
        stats = [line for line in done.stderr.splitlines() if "number_of_executed" in line]
        print(f"fuzz: {dialect} {' '.join(stats)}", flush=True)
        if done.returncode:
            failed.append(dialect)
            print(done.stderr[-3000:], flush=True)
    print(f"fuzz: findings in {', '.join(failed)}" if failed else "fuzz: nothing found")
    return 1 if failed else 0


def main() -> None:
    """Run until a failure or libFuzzer's limit."""
    if sys.argv[1:2] == ["all"]:
        sys.exit(every(sys.argv[2:]))
    dialect = next((name for name in DIALECTS if name == sys.argv[1:2][0]), None)
    if dialect is None:
        sys.exit(f"usage: {sys.argv[0]} {{all,{','.join(DIALECTS)}}} [options]")
    headers = next(
        (dict(c.delivery.headers) for c in CASES if c.dialect == dialect and c.events),
        dict(READING_HEADERS.get(dialect, {})),
    )

    def one(data: bytes) -> None:
        check_parser(dialect, headers, data)

    with tempfile.TemporaryDirectory() as corpus:
        for number, case in enumerate(case for case in CASES if case.dialect == dialect):
            (Path(corpus) / str(number)).write_bytes(case.delivery.body)
        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
