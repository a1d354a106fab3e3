"""``make interop``: the table reader x format x result, from the tests that carry the marker.

A row is what really ran: a reader that is missing shows as not run, never as good.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import pytest
from rich.console import Console
from rich.table import Table


class Rows:
    """A pytest plugin that keeps the outcome of every marked test."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._rows: dict[str, tuple[str, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note which row each test belongs to, and leave out those without one."""
        kept = []
        for item in items:
            for mark in item.iter_markers("interop"):
                self._rows[item.nodeid] = (mark.kwargs["reader"], mark.kwargs["format"])
            if item.nodeid in self._rows:
                kept.append(item)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one outcome for each test: its call, or what ended it before."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[self._rows[report.nodeid]][report.outcome] += 1


def _result(outcomes: dict[str, int]) -> str:
    if outcomes.get("failed"):
        return f"FAILED ({outcomes['failed']} of {sum(outcomes.values())})"
    if outcomes.get("skipped"):
        return f"not run ({outcomes['skipped']} skipped)"
    return f"ok ({outcomes['passed']} checks)"


def main() -> int:
    """Run the marked tests and print the table; returns pytest's exit status."""
    rows = Rows()
    options = ["-q", "-n", "0", "-p", "no:randomly", "--no-header", "tests"]
    status = pytest.main([*options, *sys.argv[1:]], plugins=[rows])
    table = Table("reader", "format", "result", title="interop")
    for (reader, kind), outcomes in sorted(rows.outcomes.items()):
        table.add_row(reader, kind, _result(outcomes))
    Console(width=120).print(table)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
