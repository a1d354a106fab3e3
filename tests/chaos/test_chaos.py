"""A short chaos run; ``make chaos`` does the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.chaos import Plan, run

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_short_chaos_run_loses_nothing(tmp_path: Path) -> None:
    plan = Plan(events=300, kills=6, restarts=1, images=8, workers=2, pause=1.5, patience=90)
    figures = run(tmp_path, plan)
    assert figures.problems == []
    assert figures.answered_202 == plan.events
    assert figures.child_kills + figures.worker_kills == plan.kills
    assert figures.broker_restarts == plan.restarts
