"""Names that the code states twice: names of catalogs, regular expressions, wire names.

A name of a catalog outside its table is a place that the next row is forgotten at. A name that is
one word, as ``azl`` or ``command``, can mean other things, so it counts only where code decides by
it (a comparison, a ``match``) or lists it with others of its table.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from tests.house.source import Finding, Module

#: Media types, names in reverse domain notation (annotations, hosts), headers of our own or a
#: vendor's. Addresses and versions are none.
_WIRE = re.compile(
    r"(?:application|text|image|multipart)/[a-z0-9.+-]+"
    r"|(?!\d+\.\d)[a-z0-9-]+(?:\.[a-z0-9-]+){2,}(?:/\S*)?"
    r"|X-[A-Za-z0-9-]+"
)

#: What makes an expression more than a word: it knows the form of something.
_FORM = re.compile(r"[\[\\]")
#: How names of derived tags begin: ``sha256-`` and hex, or an expression for it.
_DERIVED = re.compile(r"sha(?:256|512|\(\?:256\|512\))-(?!\d)")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names of one kind, and the modules that may state them."""

    kind: str
    names: frozenset[str]
    owners: frozenset[str]
    #: Others say the same words of other things, so only a list of nothing else counts.
    words: bool = False


def names_stated_twice(
    modules: Sequence[Module], vocabularies: Sequence[Vocabulary]
) -> Iterator[Finding]:
    """Yield names of catalogs that other modules than their owners state."""
    for module in modules:
        for each in vocabularies:
            if module.name not in each.owners:
                yield from _stated(module, each)


def _stated(module: Module, vocabulary: Vocabulary) -> Iterator[Finding]:
    used = [node for node in module.strings if node.value in vocabulary.names]
    if not used:
        return
    counted = _listed(module.tree, vocabulary.names)
    if not vocabulary.words:
        counted |= _deciding(module.tree)
    for node in used:
        name = str(node.value)
        if not name.isalpha() or id(node) in counted:
            yield Finding(f"{module.path}:{node.lineno}", f"{vocabulary.kind} {name!r}")


def _deciding(tree: ast.AST) -> set[int]:
    """Identities of literals that code compares with or matches on."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            found |= {
                id(each) for side in (node.left, *node.comparators) for each in _members(side)
            }
        elif isinstance(node, ast.MatchValue):
            found.add(id(node.value))
    return found


def _listed(tree: ast.AST, names: frozenset[str]) -> set[int]:
    """Identities of literals in displays of two or more names and nothing else."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
            members = _members(node)
            if len(members) > 1 and all(each.value in names for each in members):
                found |= {id(each) for each in members}
    return found


def _members(node: ast.expr) -> list[ast.Constant]:
    """The literal itself, or those that a display holds (a dict's keys)."""
    if isinstance(node, ast.Constant):
        return [node]
    if isinstance(node, ast.Dict):
        return [key for key in node.keys if isinstance(key, ast.Constant)]
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return [
            each
            for part in node.elts
            for each in _members(part.value if isinstance(part, ast.Starred) else part)
        ]
    return []


def sets_stated_twice(modules: Sequence[Module]) -> Iterator[Finding]:
    """Yield closed sets of names (``Literal``) that another type or list states again."""
    places: dict[frozenset[str], list[tuple[str, bool]]] = defaultdict(list)
    for module in modules:
        inner = {id(node.slice) for node in ast.walk(module.tree) if _is_literal(node)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                members = _members(node)
                names = frozenset(each.value for each in members if isinstance(each.value, str))
                if len(names) > 1 and len(members) == len(node.elts):
                    places[names].append((f"{module.path}:{node.lineno}", id(node) in inner))
    for names, stated in places.items():
        (first, _), *others = sorted(stated, key=lambda each: not each[1])
        if others and any(typed for _, typed in stated):
            also = ", ".join(where for where, _ in others)
            yield Finding(first, f"{', '.join(sorted(names))}, also {also}")


def _is_literal(node: ast.AST) -> TypeGuard[ast.Subscript]:
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Literal"
    )


def expressions_stated_twice(modules: Sequence[Module]) -> Iterator[Finding]:
    """Yield regular expressions that occur again, in ``re`` calls and pydantic patterns."""
    yield from _repeated(
        (module, text, line) for module in modules for text, line in _expressions(module.tree)
    )


def _expressions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        patterns = [each.value for each in node.keywords if each.arg == "pattern"]
        if (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            patterns += node.args[:1]
        for pattern in patterns:
            if isinstance(pattern, ast.Constant) and _FORM.search(str(pattern.value)):
                yield str(pattern.value), pattern.lineno


def wire_names_stated_twice(modules: Sequence[Module]) -> Iterator[Finding]:
    """Yield media types, annotation keys, hosts and header names that occur again."""
    yield from _repeated(
        (module, str(node.value), node.lineno)
        for module in modules
        for node in module.strings
        if _WIRE.fullmatch(str(node.value))
    )


def derived_tags(modules: Sequence[Module]) -> Iterator[Finding]:
    """Yield texts that know how tags are derived from digests; one module does."""
    for module in modules:
        if module.name != "app.oci.derived_tags":
            for node in module.strings:
                if _DERIVED.search(str(node.value)):
                    yield Finding(f"{module.path}:{node.lineno}", repr(node.value))


def _repeated(uses: Iterator[tuple[Module, str, int]]) -> Iterator[Finding]:
    places: Mapping[str, dict[str, None]] = defaultdict(dict)
    for module, text, line in uses:
        places[text][f"{module.path}:{line}"] = None  # a row of a table may say it twice
    for text, (first, *others) in places.items():
        if others:
            yield Finding(first, f"{text!r}, also {', '.join(others)}")
