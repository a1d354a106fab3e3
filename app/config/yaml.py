"""YAML to plain values, remembering where each value stood, so that errors can point at it.

Only the safe tags are constructed. Duplicate keys are errors, and aliases are bounded, so that a
"billion laughs" document is refused instead of expanded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from app.errors import ConfigurationError

#: A configuration with more values than this, aliases expanded, is a mistake or an attack.
MAX_NODES = 200_000
MAX_DEPTH = 40

Location = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """A parsed document and the line and column (from 1) of every value and key."""

    name: str
    value: Any
    marks: dict[Location, tuple[int, int]] = field(default_factory=dict)

    def where(self, location: Sequence[str | int]) -> str:
        """Return ``name:line:column`` of the nearest value that exists in the document."""
        path = tuple(location)
        while path and path not in self.marks:
            path = path[:-1]
        line, column = self.marks.get(path, (1, 1))
        return f"{self.name}:{line}:{column}"


def parse(text: str, name: str) -> Document:
    """Parse one YAML document; raises ``ConfigurationError`` that points at the line."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigurationError(f"{where}: not YAML: {error.problem or error}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{name}: not YAML: {error}") from None
    document = Document(name, None)
    if node is not None:
        document.value = _Builder(document).build(node, (), 0)
    return document


class _Builder(SafeConstructor):
    def __init__(self, document: Document) -> None:
        super().__init__()
        self._document = document
        self._nodes = 0

    def build(self, node: yaml.Node, location: Location, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self._error(node, "the document is too large or too deeply nested")
        self._document.marks.setdefault(
            location, (node.start_mark.line + 1, node.start_mark.column + 1)
        )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(item, (*location, at), depth + 1) for at, item in enumerate(node.value)
            ]
        try:
            return self.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or error
            raise self._error(node, str(problem)) from None

    def _mapping(self, node: yaml.MappingNode, location: Location, depth: int) -> dict[str, Any]:
        own = {self._key(key) for key, _ in node.value}
        if len(own) != len(node.value):
            raise self._duplicate(node)
        self.flatten_mapping(node)
        result: dict[str, Any] = {}
        # Merged keys (``<<``) come first, so the mapping's own values win.
        for key_node, value_node in node.value:
            key = self._key(key_node)
            place = (*location, key)
            self._document.marks[place] = (
                key_node.start_mark.line + 1,
                key_node.start_mark.column + 1,
            )
            result[key] = self.build(value_node, place, depth + 1)
        return result

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a key must be a plain word")
        return str(node.value)

    def _duplicate(self, node: yaml.MappingNode) -> ConfigurationError:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                return self._error(key, f"key {key.value!r} is given twice")
            seen.add(key.value)
        raise AssertionError("called without a duplicate")

    def _error(self, node: yaml.Node, problem: str) -> ConfigurationError:
        mark = node.start_mark
        return ConfigurationError(
            f"{self._document.name}:{mark.line + 1}:{mark.column + 1}: {problem}"
        )
