"""Public functions that raise typed errors, and whether their docstring says which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.house.source import Finding, Function, Module

#: Whoever catches one of these says nothing about what happened.
ROOTS = frozenset({"VerilayerError", "FormatError"})
#: A docstring that leaves the rest to another one: ``See ``Proof````, ``See ``signer.Key````.
_SEE = re.compile(r"See ``(?:[a-z_]+\.)*(\w+)")


@dataclass(frozen=True, slots=True)
class Raising:
    """A public function, the typed errors its own body raises, and those nobody told."""

    where: str
    errors: frozenset[str]
    untold: frozenset[str]


def raising(modules: Sequence[Module]) -> list[Raising]:
    """Find every public function that raises a typed error itself.

    A docstring tells an error by its name or that of a class above it, short of the root, or by
    ``See ``Protocol```` where the protocol's method does.
    """
    parents, protocols = _parents(modules), _methods(modules)
    found = []
    for module in modules:
        for name, function in module.functions():
            errors = frozenset(_raised(function)) & parents.keys()
            if errors and _public(name, function):
                words = ast.get_docstring(function) or ""
                for seen in _SEE.findall(words):
                    words += protocols.get((seen, function.name), "")
                untold = {one for one in errors if not any(each in words for each in parents[one])}
                where = f"{module.path}:{function.lineno} {name}"
                found.append(Raising(where, errors, frozenset(untold)))
    return found


def untold(functions: Iterable[Raising]) -> Iterator[Finding]:
    """Yield what docstrings leave out."""
    for each in functions:
        if each.untold:
            yield Finding(each.where, f"does not tell of {', '.join(sorted(each.untold))}")


def _public(name: str, function: Function) -> bool:
    """Whether others call it. A command's docstring is its help, which is for people."""
    if any(
        isinstance(one, ast.Call) and getattr(one.func, "attr", "") == "command"
        for one in function.decorator_list
    ):
        return False
    return all(
        not part.startswith("_") or (part.startswith("__") and part.endswith("__"))
        for part in name.replace("<locals>", "_").split(".")
    )


def _methods(modules: Sequence[Module]) -> dict[tuple[str, str], str]:
    """Docstrings of methods by class and name."""
    return {
        (name.split(".")[-2], function.name): ast.get_docstring(function) or ""
        for module in modules
        for name, function in module.functions()
        if "." in name
    }


def _raised(function: Function) -> Iterator[str]:
    """Names of the classes in a function's own ``raise`` statements."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.ClassDef | ast.Lambda):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(error, ast.Name | ast.Attribute):
                yield error.id if isinstance(error, ast.Name) else error.attr


def _parents(modules: Sequence[Module]) -> dict[str, frozenset[str]]:
    """Every typed error's name -> its own and those of the classes above it, without the roots."""
    bases = {
        node.name: {one.id for one in node.bases if isinstance(one, ast.Name)}
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }

    def above(name: str) -> set[str]:
        return {name}.union(*(above(one) for one in bases.get(name, ()) if one != name))

    lines = {name: above(name) for name in bases}
    return {name: frozenset(line - ROOTS | {name}) for name, line in lines.items() if line & ROOTS}
