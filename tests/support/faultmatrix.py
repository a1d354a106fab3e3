"""What must come of each operation when it meets each fault."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial

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
from app.registry.http.retrying import RetryPolicy
from app.registry.protocols import Registry
from app.registry.repository import Repository
from tests.support.faultproxy import Proxy
from tests.support.operations import OPERATIONS, Scene
from tests.support.registries import RunningRegistry

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
#: Operations of several requests: the fault also meets the second and the third of them.
LONG = frozenset({"push_blob", "attach", "detach"})


def meet(
    operation: str, fault: str, proxy: Proxy, server: RunningRegistry, repository: str
) -> tuple[str, str]:
    """Let them meet once and for good; return both outcomes: ``ok`` or the error's name.

    Raises ``AssertionError`` when an outcome is wrong or something is left half attached.
    """
    outcomes: dict[int, str] = {}
    with closing(server.open()) as direct:
        for times, skip in ((1, 0), (1, 1), (1, 2), (10_000, 0)):
            if skip and operation not in LONG:
                continue
            scene = Scene.make(direct, f"{repository}-{times}-{skip}")
            undisturbed = Repository(direct, scene.repository)
            act, check = OPERATIONS[operation]
            proxy.arm(fault, scene.repository + "|_catalog", times=times, skip=skip)
            with closing(_client(server, proxy, fault, lasting=times > 1)) as client:
                result, error = _attempt(partial(act, Repository(client, scene.repository), scene))
            proxy.arm(None)
            if error is None:
                assert check(result, undisturbed, scene), "it reported success without effect"
            else:
                assert isinstance(error, ERRORS[fault]), repr(error)
                assert not (times == 1 and fault in PASSING), f"one {fault} was fatal: {error!r}"
            _nothing_is_half_attached(undisturbed, scene, operation)
            outcomes[times] = "ok" if error is None else type(error).__name__
    return outcomes[1], outcomes[10_000]


def _client(server: RunningRegistry, proxy: Proxy, fault: str, *, lasting: bool) -> Registry:
    """Return a client that gives up soon only where waiting is all there is to see.

    A busy machine makes real answers late too, which must not look like the fault.
    """
    timeout, attempts = 10.0, 3
    if fault.startswith("stall"):
        timeout, attempts = (0.3, 2) if lasting else (1.0, 5)
    limits = {"read_timeout": timeout, "requests_per_second": 9999, "burst": 9999}
    return server.open(url=proxy.url, limits=limits, retry=RetryPolicy(attempts, base=0.01))


def _attempt(act: Callable[[], object]) -> tuple[object, VerilayerError | None]:
    """Return the result and the error; anything but our own errors is a defect."""
    try:
        return act(), None
    except VerilayerError as error:
        return None, error


def _nothing_is_half_attached(repository: Repository, scene: Scene, operation: str) -> None:
    """What is listed exists, and what was attached before is still listed."""
    if operation == "delete_manifest":
        return  # the caller asked for a manifest to vanish beneath its entry
    listed = scene.listed(repository)
    if operation != "detach":
        assert scene.attached.digest in listed, "an earlier referrer was lost"
    for digest in listed:
        assert repository.fetch_manifest(digest).digest == digest
