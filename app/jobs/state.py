"""The life of a job and of a layer build: one table of transitions, pure.

::

    queued ──claim──> running ──succeed──> succeeded      a bundle is attached and checked
                       │  │ ───skip──────> skipped        deliberately not converted (reason)
                       │  │ ───fail──────> failed         for good: permanent error (code)
                       │  │ ───retry─────> failed         for now: due again after a back-off
                       │  └───bury───────> dead           attempts are used up: dead letter
                       └──park──> running                 waits for layers, holds no worker

    failed (for now) ──claim──> running          any unfinished ──cancel──> cancelled
    any finished ──submit──> queued              a new push, a person or a sweep asks again

The same table drives layer builds, which are never skipped or parked. Whoever works holds a lease;
``lose`` is the reaper's verdict on an expired one and counts as an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from app.errors import VerilayerError


class JobState(StrEnum):
    """Where a job or a layer build stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"


class Step(StrEnum):
    """What can happen to it."""

    SUBMIT = "submit"
    CLAIM = "claim"
    PARK = "park"
    SUCCEED = "succeed"
    SKIP = "skip"
    FAIL = "fail"
    RETRY = "retry"
    LOSE = "lose"
    BURY = "bury"
    CANCEL = "cancel"


#: A failed job that is due again is not finished; ``Job.finished`` knows the difference.
FINISHED = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.SKIPPED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.DEAD,
    }
)

#: Nobody has said yet how these end.
UNFINISHED = frozenset(JobState) - FINISHED

#: Nothing is wrong: there is a bundle, or there is not to be one.
WELL = frozenset({JobState.SUCCEEDED, JobState.SKIPPED})

_S = JobState

TRANSITIONS: Mapping[tuple[JobState, Step], JobState] = {
    **{(state, Step.SUBMIT): _S.QUEUED for state in FINISHED},
    (_S.QUEUED, Step.CLAIM): _S.RUNNING,
    (_S.QUEUED, Step.LOSE): _S.FAILED,
    (_S.QUEUED, Step.BURY): _S.DEAD,
    (_S.QUEUED, Step.CANCEL): _S.CANCELLED,
    (_S.FAILED, Step.CLAIM): _S.RUNNING,
    (_S.FAILED, Step.LOSE): _S.FAILED,
    (_S.FAILED, Step.BURY): _S.DEAD,
    (_S.FAILED, Step.CANCEL): _S.CANCELLED,
    (_S.RUNNING, Step.CLAIM): _S.RUNNING,
    (_S.RUNNING, Step.PARK): _S.RUNNING,
    (_S.RUNNING, Step.SUCCEED): _S.SUCCEEDED,
    (_S.RUNNING, Step.SKIP): _S.SKIPPED,
    (_S.RUNNING, Step.FAIL): _S.FAILED,
    (_S.RUNNING, Step.RETRY): _S.FAILED,
    (_S.RUNNING, Step.LOSE): _S.FAILED,
    (_S.RUNNING, Step.BURY): _S.DEAD,
    (_S.RUNNING, Step.CANCEL): _S.CANCELLED,
}


class IllegalTransition(VerilayerError):
    """The record is not in a state that allows this; usually someone else was first."""

    code = "illegal-transition"


def next_state(state: JobState, step: Step) -> JobState:
    """Look the step up. Raises ``IllegalTransition``."""
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise IllegalTransition(f"a {state} record cannot {step}") from None
