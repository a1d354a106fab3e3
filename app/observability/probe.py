"""Health probe for containers: ``python -m app.observability.probe url|fresh WHAT``.

``url URL`` succeeds when the URL answers 200; ``fresh FILE`` when FILE was touched in the last
minute, as a consuming worker does with its heartbeat file. Standard library only, so that a probe
costs little more than the interpreter's start.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

MAX_AGE_SECONDS = 60.0


def answers(url: str) -> bool:
    """Whether ``url`` answers 200 within three seconds."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - given by the operator
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def fresh(file: Path) -> bool:
    """Whether ``file`` was touched less than ``MAX_AGE_SECONDS`` ago."""
    try:
        return time.time() - file.stat().st_mtime < MAX_AGE_SECONDS
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Return the exit status: 0 healthy, 1 not, 2 misuse."""
    match arguments:
        case ["url", url]:
            return 0 if answers(url) else 1
        case ["fresh", file]:
            return 0 if fresh(Path(file)) else 1
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
