"""Bulk work: a batch holds the images to look at, feeds them to the intake, and counts its jobs.

Feeding is what pause and cancel act on: a paused batch feeds nothing, a cancelled one forgets what
it has not fed and cancels its unfinished jobs. Images in flight are bounded, so that a batch of a
million fills no queue.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict
from redis import Redis

from app.jobs.intake import IntakeOptions, RedisIntake
from app.jobs.keys import key
from app.jobs.listing import page_of
from app.jobs.push import PushEvent
from app.jobs.scripts import broker_errors
from app.jobs.state import UNFINISHED, JobState
from app.oci.digest import Digest

if TYPE_CHECKING:
    from app.jobs.engine import JobEngine

#: Unfinished jobs of one batch at once.
IN_FLIGHT = 200

BatchState = Literal["running", "paused", "cancelled", "done"]


class BatchItem(PushEvent):
    """One image to look at again: an event that the intake takes as if it had been pushed."""

    registry: str


class Batch(BaseModel):
    """A batch as it was asked for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    state: BatchState = "running"
    created: float
    #: Who asked, and for what, for people.
    actor: str = ""
    title: str = ""
    total: int
    options: IntakeOptions = IntakeOptions()


class BatchProgress(BaseModel):
    """How far a batch is."""

    model_config = ConfigDict(frozen=True)

    batch: Batch
    #: Items not yet given to the intake, and given to it but not yet jobs.
    waiting: int
    resolving: int
    #: Jobs by state; an index yields several jobs, an image that no rule wants none.
    jobs: dict[str, int]


class Batches:
    """All batches."""

    def __init__(self, redis: Redis, now: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._now = now

    def create(
        self,
        items: Iterable[BatchItem],
        options: IntakeOptions,
        *,
        actor: str = "",
        title: str = "",
    ) -> Batch:
        """Store a batch; the reaper's next round starts to feed it."""
        batch_id = "t" + uuid.uuid4().hex[:20]
        texts = [item.model_dump_json(exclude_defaults=True) for item in items]
        batch = Batch(
            id=batch_id,
            created=self._now(),
            actor=actor,
            title=title,
            total=len(texts),
            options=options.model_copy(update={"batch": batch_id}),
        )
        with broker_errors("storing a batch"):
            for start in range(0, len(texts), 1000):
                self._redis.rpush(key("batch", batch_id, "items"), *texts[start : start + 1000])
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.set(key("batch", batch_id), batch.model_dump_json())
            pipeline.zadd(key("batches"), {batch_id: batch.created})
            pipeline.sadd(key("batches", "running"), batch_id)
            pipeline.execute()
        return batch

    def get(self, batch_id: str) -> BatchProgress | None:
        """One batch and its progress."""
        with broker_errors("reading a batch"):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.get(key("batch", batch_id))
            pipeline.llen(key("batch", batch_id, "items"))
            pipeline.scard(key("batch", batch_id, "events"))
            pipeline.hgetall(key("batch", batch_id, "states"))
            text, waiting, resolving, states = pipeline.execute()
        if text is None:
            return None
        jobs = {state: int(count) for state, count in states.items() if int(count)}
        return BatchProgress(
            batch=Batch.model_validate_json(text), waiting=waiting, resolving=resolving, jobs=jobs
        )

    def listing(self, cursor: str | None = None, limit: int = 50) -> tuple[list[Batch], str | None]:
        """Page through batches, newest first."""
        ids, following = page_of(
            self._redis, key("batches"), newest_first=True, cursor=cursor, limit=limit
        )
        found = [self.get(batch_id) for batch_id in ids]
        return [one.batch for one in found if one is not None], following

    def pause(self, batch_id: str) -> Batch | None:
        """Feed nothing more until ``resume``; what is queued goes on."""
        return self._set(batch_id, "paused", {"running"})

    def resume(self, batch_id: str) -> Batch | None:
        """Feed again."""
        return self._set(batch_id, "running", {"paused"})

    def cancel(self, batch_id: str, engine: JobEngine) -> Batch | None:
        """Forget what was not fed; cancel the batch's unfinished jobs."""
        batch = self._set(batch_id, "cancelled", {"running", "paused"})
        if batch is None:
            return None
        with broker_errors("cancelling a batch"):
            self._redis.delete(key("batch", batch_id, "items"))
        for state in (JobState.QUEUED, JobState.RUNNING, JobState.FAILED):
            cursor: str | None = None
            while True:
                page = engine.ledger.listing(state=state, cursor=cursor, limit=200)
                for job in page.items:
                    if job.batch == batch_id and not job.finished:
                        engine.cancel(job.id)
                cursor = page.cursor
                if cursor is None:
                    break
        return batch

    def feed(self, engine: JobEngine) -> None:
        """Give running batches' next items to the intake; called by the reaper."""
        intake = RedisIntake(self._redis, engine.queue.drain_intake, now=self._now)
        with broker_errors("feeding batches"):
            running: Any = self._redis.smembers(key("batches", "running"))
        for batch_id in running:
            self._feed(str(batch_id), engine, intake)

    def _feed(self, batch_id: str, engine: JobEngine, intake: RedisIntake) -> None:
        self._resolved(batch_id, engine)
        progress = self.get(batch_id)
        if progress is None or progress.batch.state == "cancelled":
            with broker_errors("feeding batches"):
                self._redis.srem(key("batches", "running"), batch_id)
            return
        if progress.batch.state != "running":
            return
        open_ = sum(progress.jobs.get(state, 0) for state in UNFINISHED)
        if not progress.waiting and not progress.resolving and not open_:
            self._set(batch_id, "done", {"running"})
            return
        for _ in range(max(0, IN_FLIGHT - open_ - progress.resolving)):
            with broker_errors("feeding batches"):
                text = cast(str | None, self._redis.lindex(key("batch", batch_id, "items"), 0))
            if text is None:
                return
            # A crash between the two calls feeds the item twice; the replay cache drops it.
            delivery = f"{batch_id}:{progress.batch.total}:{Digest.of(text.encode())}"
            item = BatchItem.model_validate_json(text).model_copy(update={"delivery_id": delivery})
            receipt = intake.accept(item.registry, "batch", [item], progress.batch.options)
            with broker_errors("feeding batches"):
                if receipt.event_ids:
                    self._redis.sadd(key("batch", batch_id, "events"), *receipt.event_ids)
                self._redis.lpop(key("batch", batch_id, "items"))

    def _resolved(self, batch_id: str, engine: JobEngine) -> None:
        with broker_errors("feeding batches"):
            events: Any = self._redis.smembers(key("batch", batch_id, "events"))
        for event_id in events:
            if engine.events.outcome(int(event_id)) is not None:
                with broker_errors("feeding batches"):
                    self._redis.srem(key("batch", batch_id, "events"), event_id)

    def _set(self, batch_id: str, state: BatchState, allowed: set[str]) -> Batch | None:
        """Change the state where allowed; returns the batch as it then is, None if unknown."""
        progress = self.get(batch_id)
        if progress is None:
            return None
        batch = progress.batch
        if batch.state not in allowed:
            return batch
        batch = batch.model_copy(update={"state": state})
        with broker_errors("changing a batch"):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.set(key("batch", batch_id), batch.model_dump_json())
            if state == "running":
                pipeline.sadd(key("batches", "running"), batch_id)
            elif state in ("done", "cancelled"):
                pipeline.srem(key("batches", "running"), batch_id)
            pipeline.execute()
        return batch
