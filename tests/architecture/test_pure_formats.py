from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tools import ROOT

#: Builtins that reach outside; imports are .importlinter's business, but these need none.
OUTSIDE = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
FORMATS = sorted((ROOT / "workers" / "formats").rglob("*.py"))


def calls(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, node.func.id


@pytest.mark.parametrize("path", FORMATS, ids=lambda path: str(path.relative_to(ROOT)))
def test_formats_never_reach_outside(path: Path) -> None:
    found = [(line, name) for line, name in calls(path.read_text()) if name in OUTSIDE]
    assert found == []


def test_the_rule_sees_a_violation() -> None:
    assert ("open") in {name for _, name in calls("def f(p):\n    return open(p)\n")}
    assert len(FORMATS) > 5
