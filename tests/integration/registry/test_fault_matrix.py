"""Every operation meets every fault, once and for good: success, or the right typed error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from app.errors import (
    AccessRefused,
    ContentMismatch,
    NotFound,
    RateLimited,
    ResponseInvalid,
    Unauthorized,
    Unavailable,
    VerilayerError,
)
from app.registry.protocols import Registry
from app.registry.retrying import RetryPolicy
from tests.support.faultproxy import FAULTS, Proxy, fault_proxy
from tests.support.operations import OPERATIONS, Scene
from tests.support.registries import RunningRegistry

pytestmark = pytest.mark.real

#: What a client may say when a fault does not go away.
ERRORS: dict[str, tuple[type[VerilayerError], ...]] = {
    "reset": (Unavailable,),
    "reset-midway": (Unavailable,),
    "truncate": (Unavailable,),
    "stall": (Unavailable,),
    "stall-midway": (Unavailable,),
    "429": (RateLimited,),
    "429-date": (RateLimited,),
    "500": (Unavailable,),
    "503": (Unavailable,),
    # A digest that a HEAD made up does not exist.
    "wrong-content": (ContentMismatch, ResponseInvalid, NotFound),
    "short-body": (ContentMismatch, ResponseInvalid),
    "long-body": (ContentMismatch, ResponseInvalid),
    # A catalog that may not be read is the same as none.
    "401": (Unauthorized, NotFound),
    "redirect": (AccessRefused, ResponseInvalid),
    "login-page": (ResponseInvalid, ContentMismatch),
}
#: Faults that one more try always gets over.
PASSING = frozenset(
    {"reset", "reset-midway", "truncate", "stall", "stall-midway", "429", "429-date", "500", "503"}
)


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
    direct = debian.open()
    act, check = OPERATIONS[operation]
    limits = {"read_timeout": 0.3, "requests_per_second": 9999, "burst": 9999}
    client = debian.open(url=proxy.url, limits=limits, retry=RetryPolicy(3, base=0.01))
    try:
        for times, skip in ((1, 0), (1, 1), (1, 2), (10_000, 0)):
            if skip and operation not in ("push_blob", "attach", "detach"):
                continue
            scene = Scene.make(direct, f"{repository}-{times}-{skip}")
            proxy.arm(fault, scene.repository + "|_catalog", times=times, skip=skip)
            result, error = attempt(partial(act, client, scene))
            proxy.arm(None)
            if error is None:
                assert check(result, direct, scene)
            else:
                assert isinstance(error, ERRORS[fault]), repr(error)
                assert not (times == 1 and fault in PASSING), f"one {fault} was fatal: {error!r}"
            nothing_is_half_attached(direct, scene, operation)
    finally:
        proxy.arm(None)
        client.close()
        direct.close()


def attempt(act: Callable[[], object]) -> tuple[object, VerilayerError | None]:
    """Return the result and the error; anything but our own errors is a defect."""
    try:
        return act(), None
    except VerilayerError as error:
        return None, error


def nothing_is_half_attached(registry: Registry, scene: Scene, operation: str) -> None:
    """What is listed exists, and what was attached before is still listed."""
    listed = scene.listed(registry)
    if operation == "delete_manifest":
        return  # the caller asked for a manifest to vanish beneath its entry
    if operation != "detach":
        assert scene.attached.digest in listed
    for digest in listed:
        assert registry.fetch_manifest(scene.repository, digest).digest == digest
