"""The table of transitions, and what records make of it."""

from __future__ import annotations

import itertools

import pytest

from app.jobs.records import HISTORY, Failure, Job, JobKey, build_id, level
from app.jobs.state import FINISHED, TRANSITIONS, IllegalTransition, JobState, Step, next_state
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest

DIGEST = Digest.of(b"image")


def job(**facts: object) -> Job:
    values = {
        "id": "j1",
        "registry": "main",
        "repository": "a/b",
        "digest": DIGEST,
        "profiles": ("containerd-erofs",),
        "created": 1.0,
        "updated": 1.0,
        "submitted": 1.0,
    }
    return Job.model_validate(values | facts)


def test_every_pair_is_in_the_table_or_refused() -> None:
    for state, step in itertools.product(JobState, Step):
        if (state, step) in TRANSITIONS:
            assert next_state(state, step) is TRANSITIONS[state, step]
        else:
            with pytest.raises(IllegalTransition, match=f"a {state} record cannot {step}"):
                next_state(state, step)


def test_every_state_is_reached_and_left() -> None:
    reached = {JobState.QUEUED, *TRANSITIONS.values()}
    assert reached == set(JobState)
    assert {state for state, _ in TRANSITIONS} == set(JobState)


def test_whatever_has_not_ended_can_be_cancelled() -> None:
    """A failed job too: it may be due again, and is then no more than another one that waits."""
    for state in (JobState.QUEUED, JobState.RUNNING, JobState.FAILED):
        assert next_state(state, Step.CANCEL) is JobState.CANCELLED


def test_finished_work_starts_again_only_when_asked() -> None:
    assert len(FINISHED) > 1
    for state in FINISHED - {JobState.FAILED}:
        assert [step for s, step in TRANSITIONS if s is state] == [Step.SUBMIT]


def test_a_failure_that_is_due_again_is_not_finished() -> None:
    assert not job(state="failed", due=5.0).finished
    assert job(state="failed").finished
    assert not job(state="running").finished


def test_history_is_bounded_and_keeps_the_first() -> None:
    record = job(state="running")
    for number in range(HISTORY * 2):
        record = record.stepped(Step.PARK, float(number), f"{number}")
    assert len(record.history) == HISTORY
    assert [record.history[0].note, record.history[-1].note] == ["0", f"{HISTORY * 2 - 1}"]


def test_records_survive_json() -> None:
    record = job(
        failure=Failure(code="x", message="y", retryable=True), timings={"plan": 0.25}
    ).stepped(Step.CLAIM, 3.0, "attempt 1", started=3.0)
    text = record.model_dump_json(exclude_defaults=True)
    assert Job.model_validate_json(text) == record


def test_a_job_key_ignores_the_order_of_profiles() -> None:
    def name(*profiles: str, repository: str = "a/b") -> str:
        return JobKey(registry="main", repository=repository, digest=DIGEST, profiles=profiles).id

    assert name("azl", "notation") == name("notation", "azl")
    assert name("azl") != name("notation")
    assert name("azl") != name("azl", repository="a/c")


def test_a_build_key_depends_on_everything_a_root_hash_does() -> None:
    other = Digest.of(b"other")
    layer = Descriptor(media_type="application/x", digest=DIGEST, size=10)
    ids = {
        build_id("main", layer, DiffID(DIGEST), "1.9.3", 512),
        build_id("main", layer.model_copy(update={"digest": other}), DiffID(DIGEST), "1.9.3", 512),
        build_id("main", layer, DiffID(other), "1.9.3", 512),
        build_id("main", layer, DiffID(DIGEST), "1.8.6", 512),
        build_id("main", layer, DiffID(DIGEST), "1.9.3", 4096),
        build_id("else", layer, DiffID(DIGEST), "1.9.3", 512),
    }
    assert len(ids) == 6


def test_who_claims_something_else_of_a_layer_asks_for_another_build() -> None:
    layer = Descriptor(media_type="application/x", digest=DIGEST, size=10)
    claims: list[dict[str, object]] = [{}, {"size": 11}, {"media_type": "application/y"}]
    ids = {
        build_id("main", layer.model_copy(update=claim), DiffID(DIGEST), "1.9.3", 512)
        for claim in claims
    }
    assert len(ids) == 3


def test_ranks() -> None:
    assert level("push", "low") < level("manual", "high") < level("sweep", "high")
    assert level("push", "high") < level("push", "normal") < level("push", "low")
