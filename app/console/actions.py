"""What buttons do: the same changes as the API's routes, with the same roles and audit entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.admin.batches import batch_or_404
from app.admin.jobs import job_or_404
from app.admin.queues import dead_or_409
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.console.gate import Visit
from app.jobs.messages import Lane
from app.problems import Problem

Change = Callable[[AdminServices, str], object]


@dataclass(frozen=True, slots=True)
class Action:
    """One button."""

    audit: str
    role: Role
    check: Change
    change: Change
    done: str


def _lane(_services: AdminServices, name: str) -> Lane:
    try:
        return Lane(name)
    except ValueError:
        raise Problem(404, "queue-unknown", f"no queue {name!r}") from None


def _retry(services: AdminServices, job_id: str) -> None:
    services.engine.ledger.retry(job_id)
    services.engine.wake_all()


def _resume_lane(services: AdminServices, lane: str) -> None:
    services.engine.schedule.resume_lane(Lane(lane))
    services.engine.wake_all(recount=True)


#: (kind, verb) -> what happens.
ACTIONS: Mapping[tuple[str, str], Action] = {
    ("jobs", "cancel"): Action(
        "job.cancel", Role.operate, job_or_404, lambda s, one: s.engine.cancel(one),
        "The job is cancelled, or will be within seconds.",
    ),
    ("jobs", "retry"): Action(
        "job.retry", Role.operate, job_or_404, _retry, "The job is queued again."
    ),
    ("dead", "requeue"): Action(
        "dead.requeue", Role.operate, dead_or_409, _retry, "The dead letter is queued again."
    ),
    ("dead", "drop"): Action(
        "dead.drop", Role.admin, dead_or_409, lambda s, one: s.engine.ledger.drop(one),
        "The dead letter is given up.",
    ),
    ("batches", "pause"): Action(
        "batch.pause", Role.operate, batch_or_404, lambda s, one: s.batches.pause(one),
        "The batch is paused; what is queued goes on.",
    ),
    ("batches", "resume"): Action(
        "batch.resume", Role.operate, batch_or_404, lambda s, one: s.batches.resume(one),
        "The batch goes on.",
    ),
    ("batches", "cancel"): Action(
        "batch.cancel", Role.operate, batch_or_404,
        lambda s, one: s.batches.cancel(one, s.engine), "The batch is cancelled.",
    ),
    ("queues", "pause"): Action(
        "queue.pause", Role.operate, _lane,
        lambda s, one: s.engine.schedule.pause_lane(Lane(one)),
        "The queue is paused; what runs goes on.",
    ),
    ("queues", "resume"): Action(
        "queue.resume", Role.operate, _lane, _resume_lane, "The queue goes on."
    ),
}  # fmt: skip


def act(services: AdminServices, visit: Visit, kind: str, name: str, verb: str) -> None:
    """Do what a button says; raises ``Problem`` 403, 404, 409."""
    action = ACTIONS.get((kind, verb))
    if action is None:
        raise Problem(404, "not-found", "there is no such button")
    visit.need(action.role)
    action.check(services, name)
    services.audit.record(visit.who.name, action.audit, name)
    action.change(services, name)


def told(done: str | None) -> str:
    """The message after a button, by ``kind.verb`` in the address; empty for anything else."""
    kind, _, verb = (done or "").partition(".")
    if (kind, verb) == ("images", "verify"):
        return "A worker will verify the image; this page shows the report."
    action = ACTIONS.get((kind, verb))
    return action.done if action else ""
