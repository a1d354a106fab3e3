"""Choices with the shapes that making archives asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tests.support.tarmaker import Choices

T = TypeVar("T")


class Picker:
    """Picks from a source of choices."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    def below(self, count: int) -> int:
        """A number from 0 on."""
        return self._choices.integer(0, count - 1)

    def of(self, options: Sequence[T]) -> T:
        """One of ``options``."""
        return options[self.below(len(options))]
