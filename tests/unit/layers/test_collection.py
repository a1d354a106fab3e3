import gc
from collections.abc import Iterator

import pytest

from workers.layers.collection import rarely_collected


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_thresholds_return_when_the_last_of_overlapping_builds_ends() -> None:
    gc.set_threshold(700, 10, 10)
    first, second = rarely_collected(), rarely_collected()
    with first:
        second.__enter__()
    assert gc.get_threshold()[0] > 100_000
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (700, 10, 10)


def test_a_process_without_collections_stays_without() -> None:
    gc.set_threshold(0, 10, 10)
    with rarely_collected():
        assert gc.get_threshold()[0] == 0
    assert gc.get_threshold() == (0, 10, 10)
