"""The sources that the house is measured on, each read and parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.tools import ROOT

PACKAGES = ("app", "workers")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its path below the tree's root, its text."""

    name: str
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def strings(self) -> list[ast.Constant]:
        """Every string literal that is no docstring, also the parts of f-strings."""
        prose = {
            id(node.value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        return [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in prose
        ]

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function with its qualified name (``Ledger.submit``, ``f.<locals>.g``)."""

        def inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, Function | ast.ClassDef):
                    name = f"{prefix}{child.name}"
                    if isinstance(child, Function):
                        yield name, child
                    inner = f"{name}.<locals>." if isinstance(child, Function) else f"{name}."
                    yield from inside(child, inner)
                else:
                    yield from inside(child, prefix)

        return inside(self.tree, "")


@dataclass(frozen=True, order=True)
class Finding:
    """Something that the house rules do not want, and where it is."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def modules(root: Path = ROOT, packages: tuple[str, ...] = PACKAGES) -> list[Module]:
    """Read every module of the packages below ``root``."""
    found = [
        Module(
            ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"),
            str(path.relative_to(root)),
            path.read_text(),
        )
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    ]
    assert found, f"no sources below {root}"
    return found
