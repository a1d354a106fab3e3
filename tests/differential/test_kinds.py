"""Each lossy kind stands for something that the runtime sees otherwise; each note for nothing."""

from __future__ import annotations

import pytest

from app.catalog.builders import DEFAULT_BUILDER
from tests.differential.compare import compare
from tests.differential.declared import undeclared
from tests.support.warning_cases import DISAGREEMENTS, HARMLESS, LOSSES, NOTES, Case
from workers.formats.tarindex.warning import KINDS


@pytest.mark.parametrize("case", [*LOSSES, *DISAGREEMENTS], ids=lambda case: case.kind)
def test_the_runtime_sees_another_tree(case: Case) -> None:
    (found,) = compare([case.tar], DEFAULT_BUILDER)
    assert found.differences
    assert undeclared(found) == []
    assert KINDS[case.kind].lossy


@pytest.mark.parametrize("case", NOTES, ids=lambda case: case.kind)
def test_the_runtime_sees_nothing_else(case: Case) -> None:
    (found,) = compare([case.tar], DEFAULT_BUILDER)
    assert found.differences == ()
    assert not found.refusal
    assert not KINDS[case.kind].lossy


@pytest.mark.parametrize("name", HARMLESS)
def test_odd_and_the_same_to_all(name: str) -> None:
    (found,) = compare([HARMLESS[name]], DEFAULT_BUILDER)
    assert not found.refusal
    assert found.differences == ()
    assert found.warnings == ()
