"""Coverage-guided fuzzing of one webhook parser.

    python tests/fuzz/webhook_parsers.py DIALECT [libFuzzer options, such as -max_total_time=60]

Invariant: any bytes give valid pushes and known reasons, or a ``DeliveryRefused``; never another
exception. The corpus starts from the deliveries of the table tests.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["app.webhooks"]):
    from app.webhooks.dialects import PARSERS
    from tests.support.webhook_cases import CASES, READING_HEADERS
    from tests.support.webhook_invariants import check_parser


def main() -> None:
    """Run until a failure or libFuzzer's limit."""
    dialect = next((name for name in PARSERS if name == sys.argv[1:2][0]), None)
    if dialect is None:
        sys.exit(f"usage: {sys.argv[0]} {{{','.join(PARSERS)}}} [options]")
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
