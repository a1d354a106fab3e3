"""Everything of the engine over one Redis, put together once per process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from redis import Redis

from app.jobs.builds import LayerBuilds
from app.jobs.ledger import Ledger
from app.jobs.messages import Lane
from app.jobs.ownpushes import OwnPushes
from app.jobs.pending import PendingEvents
from app.jobs.queue import JobQueue
from app.jobs.records import Job
from app.jobs.schedule import Schedule
from app.jobs.scripts import Scripts
from app.jobs.state import JobState
from app.jobs.timing import EngineTiming


@dataclass(frozen=True, slots=True)
class JobEngine:
    """The ledger and what moves it."""

    redis: Redis
    ledger: Ledger
    builds: LayerBuilds
    schedule: Schedule
    events: PendingEvents
    own_pushes: OwnPushes
    queue: JobQueue
    timing: EngineTiming
    now: Callable[[], float]

    @classmethod
    def over(
        cls,
        redis: Redis,
        queue: JobQueue,
        timing: EngineTiming = EngineTiming(),  # noqa: B008 - frozen
        now: Callable[[], float] = time.time,
    ) -> Self:
        """Wire the parts."""
        scripts = Scripts(redis)
        return cls(
            redis=redis,
            ledger=Ledger(redis, scripts, timing, now),
            builds=LayerBuilds(redis, scripts, timing, now),
            schedule=Schedule(redis, scripts, timing, now),
            events=PendingEvents(redis, scripts, timing, now),
            own_pushes=OwnPushes(redis),
            queue=queue,
            timing=timing,
            now=now,
        )

    def wake_all(self, *, recount: bool = False) -> None:
        """Send the wake-ups that lanes lack, after submissions and resumes."""
        for lane in Lane:
            self.schedule.wake(self.queue, lane, recount=recount)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job, and the layers that only it waits for. Raises ``KeyError``."""
        job = self.ledger.cancel(job_id)
        pending = [layer.build for layer in job.layers if layer.outcome == "pending"]
        if job.state is JobState.CANCELLED and pending:
            for build_id in self.ledger.store.scripts.run("abandon", job_id, *pending):
                self.builds.cancel(str(build_id))
        return job
