"""Rooms (packages and modules below ``app`` and ``workers``), their floors and the arrows between.

Floors are what ``.importlinter`` declares, highest first; arrows are what the sources import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

from tests.house.source import PACKAGES
from tests.support.tools import ROOT

#: A floor: rooms side by side, by their dotted names.
Floor = tuple[str, ...]


def contracts(path: Path = ROOT / ".importlinter") -> ConfigParser:
    """The import contracts as they are written."""
    parser = ConfigParser()
    parser.read(path)
    return parser


def floors(container: str, parser: ConfigParser) -> list[Floor]:
    """The floors of a package, highest first, from its exhaustive contract."""
    for section in parser.sections():
        contract = parser[section]
        if contract.get("containers") == container:
            return [
                tuple(f"{container}.{name.strip()}" for name in floor.split("|"))
                for floor in contract["layers"].split("\n")
                if floor and not floor.startswith("#")
            ]
    raise AssertionError(f"no contract has the layers of {container}")


def containers(parser: ConfigParser) -> list[str]:
    """Packages whose every module is on a floor."""
    return [
        parser[section]["containers"]
        for section in parser.sections()
        if parser[section].get("exhaustive") == "true"
    ]


def exceptions(parser: ConfigParser) -> list[str]:
    """Imports that contracts let pass although they are against them."""
    return [
        line
        for section in parser.sections()
        for line in parser[section].get("ignore_imports", "").split("\n")
        if line
    ]


@dataclass(frozen=True)
class Rooms:
    """Arrows between rooms: who imports from which others."""

    imports: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls) -> Rooms:
        """Read what the sources of ``app`` and ``workers`` import."""
        graph = grimp.build_graph(*PACKAGES)
        imports: dict[str, set[str]] = {}
        for module in graph.modules - set(PACKAGES):
            others = imports.setdefault(_room(module), set())
            others |= {_room(one) for one in graph.find_modules_directly_imported_by(module)}
        return cls(
            {room: frozenset(others - {room, *PACKAGES}) for room, others in imports.items()}
        )

    @cached_property
    def arrows(self) -> list[tuple[str, str]]:
        """Every pair of rooms of which the first imports from the second."""
        return sorted((one, other) for one, others in self.imports.items() for other in others)

    def inside(self, package: str) -> list[tuple[str, str]]:
        """Arrows that begin and end in one package."""
        return [arrow for arrow in self.arrows if all(_in(room, package) for room in arrow)]

    def circle(self) -> list[str]:
        """Rooms that import each other in a circle, or none."""
        try:
            TopologicalSorter(self.imports).prepare()
        except CycleError as error:
            return list(error.args[1])
        return []

    def height(self) -> int:
        """How many rooms the longest chain of arrows has."""
        heights: dict[str, int] = {}
        for room in TopologicalSorter(self.imports).static_order():
            heights[room] = 1 + max((heights[one] for one in self.imports.get(room, ())), default=0)
        return max(heights.values())

    def upward(self, parser: ConfigParser) -> Iterator[tuple[str, str]]:
        """Yield arrows that do not lead to a lower floor; ``app`` is below ``workers``."""
        order = [floor for package in reversed(PACKAGES) for floor in floors(package, parser)]
        level = {room: at for at, floor in enumerate(order) for room in floor}
        for one, other in self.arrows:
            if level.get(one, -1) >= level.get(other, -1):
                yield one, other

    def direct(self, package: str) -> list[tuple[str, str]]:
        """Arrows inside a package that no longer way says already: what a drawing needs."""
        return [
            (one, other)
            for one, other in self.inside(package)
            if not any(other in self._reached(between) for between in self.imports[one] - {other})
        ]

    def _reached(self, room: str) -> set[str]:
        found: set[str] = set()
        waiting = [room]
        while waiting:
            for one in self.imports.get(waiting.pop(), frozenset()) - found:
                found.add(one)
                waiting.append(one)
        return found


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _in(room: str, package: str) -> bool:
    return room.startswith(f"{package}.")
