"""What a request does to a job that exists already; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.jobs.records import Job, level
from app.jobs.state import JobState, Step
from app.jobs.store import Placing


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of a request for a job."""

    job: Job
    #: ``coalesced``: it is unfinished, or finished after the request was made.
    outcome: Literal["created", "requeued", "coalesced"]


def resubmitted(job: Job, wanted: Job, now: float) -> Job:
    """Return a finished job as it is queued again."""
    return job.stepped(
        Step.SUBMIT,
        now,
        wanted.source,
        **_request(wanted),
        phase="",
        attempts=0,
        submitted=wanted.submitted,
        received=wanted.received,
        started=None,
        ended=None,
        failure=None,
        timings={},
        layers=(),
        bundles=(),
    )


def joined(job: Job, wanted: Job) -> tuple[Job, Placing] | None:
    """Return an unfinished job as the request changes it, or None when it asks nothing new."""
    sooner = level(wanted.source, wanted.priority) < level(job.source, job.priority)
    changes: dict[str, object] = {}
    if wanted.batch and not job.batch:
        changes["batch"] = wanted.batch
    if wanted.force and not job.force:
        changes["force"] = True
    if sooner and job.state is JobState.QUEUED:
        changes |= {"source": wanted.source, "priority": wanted.priority}
        return job.model_copy(update=changes), Placing("ready", wanted.submitted)
    return (job.model_copy(update=changes), Placing("hold")) if changes else None


def _request(wanted: Job) -> dict[str, object]:
    return {
        name: getattr(wanted, name)
        for name in (
            "source", "priority", "tag", "platform", "parent", "rule", "signer", "force",
            "dry_run", "batch", "builder_version", "traceparent",
        )
    }  # fmt: skip
