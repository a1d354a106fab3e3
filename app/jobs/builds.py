"""Layer builds: one per build key and registry, however many images and workers want it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from redis import Redis

from app.errors import RegistryError
from app.facts import LayerFacts
from app.jobs.records import Failure, LayerBuild, level
from app.jobs.schedule import Lease
from app.jobs.scripts import Scripts
from app.jobs.state import Step
from app.jobs.store import Placing, RecordStore
from app.jobs.timing import EngineTiming

Wanted = Literal["built", "pending", "failed"]


#: Repositories that a failed build remembers, newest last.
_UNREAD = 32


def _may_be_read_in(repository: str, build: LayerBuild) -> bool:
    """Whether a failure was of the repository asked then, and this is another one."""
    failure = build.failure
    return (
        failure is not None
        and failure.code.startswith(RegistryError.code)
        and repository not in build.unread_in
    )


class LayerBuilds:
    """All layer builds."""

    def __init__(
        self,
        redis: Redis,
        scripts: Scripts,
        timing: EngineTiming,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._timing = timing
        self._now = now
        self.store: RecordStore[LayerBuild] = RecordStore(redis, scripts, "build", LayerBuild)

    def get(self, build_id: str) -> LayerBuild | None:
        """One build."""
        found = self.store.get(build_id)
        return found.record if found else None

    def request(self, wanted: LayerBuild, *, restart: bool = False) -> tuple[LayerBuild, Wanted]:
        """Make sure that the layer is built or being built, and say which.

        A build that failed for good is reported as ``failed`` unless it ended before
        ``wanted.submitted``: then someone asked again and it is tried again. ``restart`` builds
        again what was built (its blobs are gone, or a person insists). So is what an older release
        built without recording what it read, and what could not be read out of another repository.
        """
        while True:
            current = self.store.get(wanted.id)
            if current is None:
                if self.store.write(wanted, 0, Placing("ready", wanted.submitted)):
                    return wanted, "pending"
                continue
            build = current.record
            if not build.finished:
                promoted = self._promoted(build, wanted)
                if promoted is None:
                    return build, "pending"
                if self.store.write(promoted, current.revision, Placing("ready", build.submitted)):
                    return promoted, "pending"
                continue
            outdated = restart and (build.ended or 0.0) < wanted.submitted
            if build.built and not outdated:
                return build, "built"
            # One that was cancelled because nobody waited for it has not failed.
            failed = build.failure is not None and build.failure.code != "cancelled"
            if (
                failed
                and (build.ended or 0.0) >= wanted.submitted
                and not _may_be_read_in(wanted.repository, build)
            ):
                return build, "failed"
            again = build.stepped(
                Step.SUBMIT,
                self._now(),
                submitted=wanted.submitted,
                repository=wanted.repository,
                source=wanted.source,
                priority=wanted.priority,
                attempts=0,
                started=None,
                ended=None,
                failure=None,
                facts=None,
            )
            if self.store.write(again, current.revision, Placing("ready", again.submitted)):
                return again, "pending"

    def _promoted(self, build: LayerBuild, wanted: LayerBuild) -> LayerBuild | None:
        sooner = level(wanted.source, wanted.priority) < level(build.source, build.priority)
        if not sooner or build.started is not None:
            return None
        return build.model_copy(update={"source": wanted.source, "priority": wanted.priority})

    def begin(self, lease: Lease) -> LayerBuild:
        """Record that a claimed build runs. Raises ``LeaseLost``, ``KeyError``."""
        now = self._now()

        def change(build: LayerBuild) -> tuple[LayerBuild, Placing]:
            changes: dict[str, object] = {"attempts": lease.attempts, "due": None}
            if build.started is None:
                changes["started"] = now
            return build.stepped(Step.CLAIM, now, f"attempt {lease.attempts}", **changes), Placing(
                "hold"
            )

        return self.store.update(lease.record_id, change, lease.token)

    def succeed(self, lease: Lease, facts: LayerFacts, timings: dict[str, float]) -> LayerBuild:
        """Record what was built; jobs that waited for their last layer wake up."""
        now = self._now()

        def change(build: LayerBuild) -> tuple[LayerBuild, Placing]:
            record = build.stepped(
                Step.SUCCEED,
                now,
                facts=facts,
                timings=timings,
                ended=now,
                failure=None,
                unread_in=(),
            )
            return record, Placing("none", strikes=-1)

        return self.store.update(lease.record_id, change, lease.token)

    def fail(
        self,
        lease: Lease,
        failure: Failure,
        retry_after: float | None = None,
        *,
        lost: bool = False,
    ) -> LayerBuild:
        """Record a failure: due again later, dead when attempts are used up, or for good."""
        now = self._now()

        def change(build: LayerBuild) -> tuple[LayerBuild, Placing]:
            worn = max(lease.attempts, build.attempts) >= self._timing.attempts
            if failure.retryable and not worn:
                due = now + self._timing.delay(max(lease.attempts, build.attempts), retry_after)
                step = Step.LOSE if lost else Step.RETRY
                record = build.stepped(step, now, failure.code, failure=failure, due=due)
                return record, Placing("delay", due)
            step = Step.BURY if failure.retryable else Step.FAIL
            record = build.stepped(
                step,
                now,
                failure.code,
                failure=failure,
                facts=None,
                ended=now,
                due=None,
                unread_in=tuple(dict.fromkeys((*build.unread_in, build.repository)))[-_UNREAD:],
            )
            return record, Placing("none", strikes=-1)

        return self.store.update(lease.record_id, change, lease.token)

    def cancel(self, build_id: str) -> None:
        """Stop a build that no job waits for: at once, or within a heartbeat where it runs."""
        failure = Failure(code="cancelled", message="no job waits for it any more")
        now = self._now()

        def change(build: LayerBuild) -> tuple[LayerBuild, Placing] | None:
            if build.finished or self.store.leased(build.unit):
                return None
            record = build.stepped(
                Step.CANCEL, now, failure=failure, facts=None, ended=now, due=None
            )
            return record, Placing("none", strikes=-1)

        self.store.ask_to_stop(build_id)
        try:
            build = self.store.update(build_id, change)
        except KeyError:
            self.store.forget_stop(build_id)
            return
        if build.finished:
            self.store.forget_stop(build_id)
