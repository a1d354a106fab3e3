"""The ledger: what happened to every job, and the only place that changes it.

Each method reads the job, takes the next revision from the table in ``state`` and writes it with
its indexes and its place in the schedule in one script. Methods that take a ``Lease`` are refused
with ``LeaseLost`` when another worker holds the job by now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis

from app.jobs.keys import key
from app.jobs.records import (
    AttachedBundle,
    Failure,
    Job,
    JobKey,
    JobLayer,
)
from app.jobs.schedule import Lease
from app.jobs.scripts import Scripts, broker_errors
from app.jobs.state import JobState, Step
from app.jobs.store import Page, Placing, RecordStore
from app.jobs.submission import Submission, joined, resubmitted
from app.jobs.timing import EngineTiming

#: Runs within one job's history after which a page of ids is fetched in pieces.
_SCAN = 200

CANCELLED = Failure(code="cancelled", message="a person cancelled it")


class Ledger:
    """All jobs."""

    def __init__(
        self,
        redis: Redis,
        scripts: Scripts,
        timing: EngineTiming,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._timing = timing
        self._now = now
        self.store: RecordStore[Job] = RecordStore(redis, scripts, "job", Job)

    # What people and workers read.

    def get(self, job_id: str) -> Job | None:
        """One job."""
        found = self.store.get(job_id)
        return found.record if found else None

    def find(self, job_key: JobKey) -> Job | None:
        """The job of a key."""
        return self.get(job_key.id)

    def listing(
        self,
        *,
        state: JobState | None = None,
        registry: str | None = None,
        repository: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Job]:
        """Page through jobs, newest first: by last change within a state, else by creation.

        ``repository`` needs ``registry``. A page may be shorter than ``limit`` before the end.
        """
        if repository is not None:
            index = key("job", "repository", registry or "", repository)
        elif state is not None:
            index = key("job", "state", state)
        else:
            index = key("job", "all")
        wanted: list[Job] = []
        for _ in range(_SCAN):
            ids, cursor = self.store.ids(index, newest_first=True, cursor=cursor, limit=limit)
            wanted += [
                job
                for job in self.store.get_many(ids)
                if job is not None
                and (state is None or job.state is state)
                and (registry is None or job.registry == registry)
            ]
            if cursor is None or len(wanted) * 2 >= limit:
                break
        return Page(tuple(wanted), cursor)

    def counts(self) -> dict[JobState, int]:
        """Jobs by state."""
        return {state: self.store.count(state) for state in JobState}

    def changes(
        self, after: str = "$", block: float = 0.0, limit: int = 100
    ) -> list[dict[str, str]]:
        """Follow all changes: ``{"cursor", "kind", "id", "state"}``, oldest first.

        ``after`` is the last cursor, or ``$`` for what comes from now on; waits up to ``block``
        seconds for the first (below Redis's read timeout).
        """
        wait = int(min(block, 1.5) * 1000) or None
        with broker_errors("following changes"):
            found: Any = self._redis.xread({key("changes"): after}, count=limit, block=wait)
        if isinstance(found, dict):
            found = [
                (name, rows[0] if rows and isinstance(rows[0], list) else rows)
                for name, rows in found.items()
            ]
        rows = found[0][1] if found else []
        return [{"cursor": str(cursor), **fields} for cursor, fields in rows]

    # What asks for work.

    def submit(self, wanted: Job) -> Submission:
        """Create the job, run it again, or join it to the run that is under way.

        ``wanted`` is a new ``Job`` whose ``submitted`` says when it was asked for: a run that ended
        later has answered it already, unless ``force``.
        """
        while True:
            current = self.store.get(wanted.id)
            if current is None:
                if self.store.write(wanted, 0, Placing("ready", wanted.submitted)):
                    return Submission(wanted, "created")
                continue
            job = current.record
            if job.finished:
                answered = (
                    job.state in (JobState.SUCCEEDED, JobState.SKIPPED)
                    and job.ended is not None
                    and job.ended >= wanted.submitted
                )
                if answered and not wanted.force:
                    return Submission(job, "coalesced")
                again = resubmitted(job, wanted, self._now())
                if self.store.write(again, current.revision, Placing("ready", again.submitted)):
                    return Submission(again, "requeued")
                continue
            change = joined(job, wanted)
            if change is None:
                return Submission(job, "coalesced")
            if self.store.write(change[0], current.revision, change[1]):
                return Submission(change[0], "coalesced")

    def retry(self, job_id: str, *, force: bool = False) -> Job:
        """Queue a finished job again, as a person's wish. Raises ``KeyError``."""
        now = self._now()

        def change(job: Job) -> tuple[Job, Placing] | None:
            if not job.finished:
                return None
            wanted = job.model_copy(
                update={"source": "manual", "force": force, "submitted": now, "received": None}
            )
            return resubmitted(job, wanted, self._now()), Placing("ready", now)

        return self.store.update(job_id, change)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: at once where nobody works on it, else within a heartbeat or two.

        ``JobEngine.cancel`` also stops the layers that only this job waits for.

        Raises ``KeyError``; a finished job is returned as it is.
        """
        self.store.ask_to_stop(job_id)

        def change(job: Job) -> tuple[Job, Placing] | None:
            if job.finished or self.store.leased(job.unit):
                return None
            return self._ended(job, Step.CANCEL, CANCELLED), Placing("none", strikes=-1)

        try:
            job = self.store.update(job_id, change)
        except KeyError:
            self.store.forget_stop(job_id)
            raise
        if job.finished:
            self.store.forget_stop(job_id)
        return job

    # What workers report.

    def begin(self, lease: Lease) -> Job:
        """Record that a claimed job runs. Raises ``LeaseLost``, ``KeyError``."""
        now = self._now()

        def change(job: Job) -> tuple[Job, Placing]:
            changes: dict[str, object] = {"attempts": lease.attempts, "due": None}
            if job.started is None:
                changes["started"] = now
            note = f"attempt {lease.attempts}"
            return job.stepped(Step.CLAIM, now, note, **changes), Placing("hold")

        return self.store.update(lease.record_id, change, lease.token)

    def park(self, lease: Lease, layers: Sequence[JobLayer], **facts: object) -> Job:
        """Wait for layers without holding a worker; the last one to finish wakes the job."""
        now = self._now()
        builds = tuple(layer.build for layer in layers if layer.outcome == "pending")

        def change(job: Job) -> tuple[Job, Placing]:
            record = job.stepped(
                Step.PARK,
                now,
                f"{len(builds)} layers",
                phase="layers",
                layers=tuple(layers),
                **facts,
            )
            # Older work that was parked comes before younger work when it is woken.
            return record, Placing("park", job.submitted, builds, strikes=-1)

        return self.store.update(lease.record_id, change, lease.token)

    def succeed(
        self,
        lease: Lease,
        bundles: Sequence[AttachedBundle],
        layers: Sequence[JobLayer],
        timings: dict[str, float],
        note: str = "",
        **facts: object,
    ) -> Job:
        """Record what is attached."""
        return self._finish(
            lease,
            Step.SUCCEED,
            note,
            bundles=tuple(bundles),
            layers=tuple(layers),
            timings=timings,
            failure=None,
            **facts,
        )

    def skip(self, lease: Lease, reason: str, message: str, details: Sequence[str] = ()) -> Job:
        """Record why the image is deliberately not converted."""
        failure = Failure(code=reason, message=message, details=tuple(details))
        return self._finish(lease, Step.SKIP, reason, failure=failure)

    def fail(self, lease: Lease, failure: Failure, retry_after: float | None = None) -> Job:
        """Record a failure: due again later, dead when attempts are used up, or for good."""
        return self._failed(lease, failure, Step.RETRY, retry_after)

    def lost(self, lease: Lease) -> Job:
        """Record that a lease expired: its worker is gone, or believes wrongly that it holds it."""
        failure = Failure(
            code="worker-lost",
            message="the worker stopped without a word",
            advice="look for an out-of-memory kill or a node failure",
            retryable=True,
        )
        return self._failed(lease, failure, Step.LOSE, None)

    def bury(self, lease: Lease, failure: Failure) -> Job:
        """Record a dead letter."""
        return self._finish(lease, Step.BURY, failure.code, failure=failure)

    def cancelled(self, lease: Lease) -> Job:
        """Record that the worker stopped because it was asked to."""
        return self._finish(lease, Step.CANCEL, "", failure=CANCELLED)

    def _failed(self, lease: Lease, failure: Failure, step: Step, retry_after: float | None) -> Job:
        now = self._now()

        def change(job: Job) -> tuple[Job, Placing]:
            if not failure.retryable:
                return self._ended(job, Step.FAIL, failure), Placing("none", strikes=-1)
            if lease.attempts >= self._timing.attempts or job.attempts >= self._timing.attempts:
                return self._ended(job, Step.BURY, failure), Placing("none", strikes=-1)
            due = now + self._timing.delay(max(lease.attempts, job.attempts), retry_after)
            record = job.stepped(step, now, failure.code, failure=failure, due=due, phase="")
            return record, Placing("delay", due)

        return self.store.update(lease.record_id, change, lease.token)

    def _finish(self, lease: Lease, step: Step, note: str, **changes: object) -> Job:
        def change(job: Job) -> tuple[Job, Placing]:
            now = self._now()
            record = job.stepped(step, now, note, ended=now, due=None, phase="", **changes)
            return record, Placing("none", strikes=-1)

        return self.store.update(lease.record_id, change, lease.token)

    def _ended(self, job: Job, step: Step, failure: Failure) -> Job:
        now = self._now()
        return job.stepped(step, now, failure.code, ended=now, due=None, phase="", failure=failure)

    # Dead letters.

    def drop(self, job_id: str) -> Job:
        """Give a dead job up: it becomes ``cancelled``. Raises ``KeyError``."""
        now = self._now()

        def change(job: Job) -> tuple[Job, Placing] | None:
            if job.state is not JobState.DEAD:
                return None
            queued = job.stepped(Step.SUBMIT, now, "dropped")
            return self._ended(queued, Step.CANCEL, job.failure or CANCELLED), Placing("none")

        return self.store.update(job_id, change)
