"""How large files and functions are, and which are over the budget of CONTRIBUTING.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from tests.house.source import Finding, Function, Module

#: "About": what is over the first is listed, what is over the second is refused.
FILE, LARGEST_FILE = 300, 350
FUNCTION, LARGEST_FUNCTION = 30, 40


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lines of the files and functions of a package, largest first."""

    files: Sequence[tuple[int, str]]
    functions: Sequence[tuple[int, str]]

    def __str__(self) -> str:
        files, functions = ([lines for lines, _ in each] for each in (self.files, self.functions))
        return (
            f"{len(files)} files of {median(files):.0f} lines (median), {max(files)} at most;"
            f" {len(functions)} functions of {median(functions):.0f}, {max(functions)} at most"
        )

    def over_budget(self) -> list[tuple[int, str]]:
        """Files and functions that a reviewer would ask about."""
        return [each for each in self.files if each[0] > FILE] + [
            each for each in self.functions if each[0] > FUNCTION
        ]


def measured(modules: Sequence[Module]) -> Sizes:
    """Measure files that are more than a docstring, and all functions."""
    files = [(module.lines, module.path) for module in modules if module.lines > 3]
    functions = [
        (own_lines(function), f"{module.path}:{name}")
        for module in modules
        for name, function in module.functions()
    ]
    return Sizes(sorted(files, reverse=True), sorted(functions, reverse=True))


def own_lines(function: Function) -> int:
    """Lines of a function's body without its docstring and without functions inside it.

    A function that only holds others, as one that makes a router does, is as good as a file.
    """
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    lines = set(range(body[0].lineno, (body[-1].end_lineno or 0) + 1))
    for inner in ast.walk(function):
        if isinstance(inner, Function | ast.ClassDef) and inner is not function:
            first = min([inner.lineno, *(one.lineno for one in inner.decorator_list)])
            lines -= set(range(first, (inner.end_lineno or 0) + 1))
    return len(lines)


def too_large(sizes: Sizes) -> Iterator[Finding]:
    """Yield files and functions over the limit."""
    for limit, each in ((LARGEST_FILE, sizes.files), (LARGEST_FUNCTION, sizes.functions)):
        for lines, name in each:
            if lines > limit:
                yield Finding(name, f"{lines} lines, {limit} at most")
