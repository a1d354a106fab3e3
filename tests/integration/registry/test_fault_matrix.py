"""Every operation meets every fault, once and for good: success, or the right typed error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.faultmatrix import ERRORS, meet
from tests.support.faultproxy import FAULTS, Proxy, fault_proxy
from tests.support.operations import OPERATIONS
from tests.support.registries import RunningRegistry

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def proxy(debian: RunningRegistry) -> Iterator[Proxy]:
    with fault_proxy(debian.host) as running:
        yield running


def test_the_table_is_complete() -> None:
    assert set(ERRORS) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_meets_fault(
    operation: str, fault: str, proxy: Proxy, debian: RunningRegistry, repository: str
) -> None:
    meet(operation, fault, proxy, debian, repository)
