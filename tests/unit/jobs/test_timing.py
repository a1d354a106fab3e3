"""Back-off."""

from __future__ import annotations

import pytest

from app.jobs.timing import EngineTiming


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 4.0), (2, 8.0), (5, 64.0), (40, 600.0)])
def test_the_delay_doubles_up_to_a_cap_and_is_jittered(attempt: int, ceiling: float) -> None:
    drawn = {EngineTiming().delay(attempt) for _ in range(200)}
    assert all(ceiling / 2 <= delay <= ceiling for delay in drawn)
    assert len(drawn) > 100


def test_a_registry_s_wish_counts_when_it_is_longer() -> None:
    assert EngineTiming().delay(1, retry_after=77.0) == 77.0
    assert EngineTiming().delay(1, retry_after=0.1) >= 2.0
