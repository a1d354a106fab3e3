"""The Celery tasks: take a message, hand over, say what comes next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from app.jobs.messages import DrainIntake, Lane, Reap, RunNext, SweepRegistries, VerifyImage
from workers.engine.context import WorkerContext
from workers.engine.draining import drain
from workers.engine.image_job import run_image
from workers.engine.layer_job import run_layer
from workers.engine.reaper import Reaper
from workers.engine.verify_job import run_verification
from workers.sweep.scheduled import sweep_due


def run_next(context: WorkerContext, message: RunNext) -> bool:
    """Run the unit that the schedule admits next; False when it admits none."""
    engine = context.engine
    lease = engine.schedule.claim(message.lane, context.current().caps)
    if lease is None:
        return False
    try:
        if message.lane is Lane.IMAGE:
            run_image(context, lease)
        else:
            run_layer(context, lease)
    finally:
        engine.wake_all()
    return True


def reap(context: WorkerContext) -> None:
    """Do a round of the reaper, and clear scratch space of dead processes."""
    Reaper(context.engine).round()
    context.spool.reserved()


def register(app: Celery, context: Callable[[], WorkerContext]) -> None:
    """Register every task; ``context()`` gives the process's ``WorkerContext``."""

    def drain_intake(message: dict[str, Any]) -> None:
        DrainIntake.model_validate(message)
        drain(context())

    def run_unit(message: dict[str, Any]) -> None:
        run_next(context(), RunNext.model_validate(message))

    def reap_round(message: dict[str, Any]) -> None:
        Reap.model_validate(message)
        reap(context())

    def sweep(message: dict[str, Any]) -> None:
        SweepRegistries.model_validate(message)
        sweep_due(context())

    def verify(message: dict[str, Any]) -> None:
        run_verification(context(), VerifyImage.model_validate(message).verification)

    for name, task in (
        (DrainIntake.task_name, drain_intake),
        (RunNext.task_name, run_unit),
        (Reap.task_name, reap_round),
        (SweepRegistries.task_name, sweep),
        (VerifyImage.task_name, verify),
    ):
        app.task(name=name)(task)
