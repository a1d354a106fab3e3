"""``python -m tests.mutants``: would a unit test notice if code that decides trust were different?

mutmut changes one expression at a time and runs the tests that enter the function. Which files,
which tests and what is left out says ``[tool.mutmut]`` in pyproject.toml. A mutant that survives
is a missing test, or it is equivalent to the code: then ``# pragma: no mutate`` on its line says
why. Arguments are patterns of mutants, such as ``app.webhooks.proofs.kinds*``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from tests.support.tools import ROOT

MUTMUT = Path(sys.executable).with_name("mutmut")
#: What is no reason to write a test: noticed by tests, by mypy, or by never coming to an end.
NOTICED = {"killed", "caught by type check", "timeout"}


def mutmut(*arguments: str) -> str:
    """Run a command of mutmut's and return what it prints."""
    done = subprocess.run(
        [MUTMUT, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def run(patterns: list[str]) -> None:
    """Make the mutants and try them; mutmut would take over changes of mutated files only."""
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    command: list[str | Path] = [MUTMUT, "run", *patterns]
    log = ROOT / "out" / "mutants.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as out:
        path = f"{MUTMUT.parent}{os.pathsep}{os.environ['PATH']}"  # for mypy
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": path},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}; see {log}")


def outcomes() -> dict[str, dict[str, str]]:
    """What became of each mutant that was tried, by module."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for line in mutmut("results", "--all", "true").splitlines():
        name, _, outcome = line.strip().partition(": ")
        if outcome != "not checked":
            found[name.rpartition(".")[0]][name] = outcome
    return found


def main(patterns: list[str]) -> int:
    """Print figures by module and what survived; 1 when anything did."""
    run(patterns)
    unnoticed: list[str] = []
    for module, mutants in sorted(outcomes().items()):
        counted = Counter(mutants.values())
        figures = ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common())
        print(f"{module}: {len(mutants)} mutants, {figures}")
        unnoticed += [name for name, outcome in mutants.items() if outcome not in NOTICED]
    for name in unnoticed:
        print(mutmut("show", name))
    return bool(unnoticed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
