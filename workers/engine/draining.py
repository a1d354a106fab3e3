"""Drains the intake: every accepted event gets exactly one outcome."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from app.errors import BrokerUnavailable
from app.jobs.pending import ClaimedEvent, EventOutcome
from app.jobs.reasons import Outcome
from app.observability import metrics, tracing
from workers.engine.context import WorkerContext
from workers.engine.expansion import Expansion
from workers.engine.failures import failure_of

log = structlog.get_logger(__name__)

#: Events that one worker claims at once, and looks at side by side.
BATCH = 64
_THREADS = 8
#: A task drains for this long at most, in seconds; a backlog wakes further workers meanwhile.
_LONGEST = 30.0


def drain(context: WorkerContext) -> int:
    """Settle or put off pending events until none is left; returns how many."""
    deadline = time.monotonic() + _LONGEST
    engine = context.engine
    total = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="drain") as pool:
        while True:
            claimed, left = engine.events.claim(BATCH)
            if not claimed:
                return total
            if left >= BATCH:
                engine.queue.drain_intake()
            expansion = Expansion(engine, context.current().config)
            known: dict[str, EventOutcome] = {}
            settle = partial(_settle, context, expansion, known)
            with engine.events.kept(claimed) as unsettled:
                for event, _ in zip(claimed, pool.map(settle, claimed), strict=True):
                    unsettled.discard(event.member)
            engine.wake_all()
            total += len(claimed)
            if time.monotonic() > deadline:
                engine.queue.drain_intake()
                return total


def _settle(
    context: WorkerContext,
    expansion: Expansion,
    known: dict[str, EventOutcome],
    event: ClaimedEvent,
) -> None:
    try:
        with tracing.span("event", traceparent=event.record.traceparent):
            outcome = _outcome(context, expansion, event, known)
    except BrokerUnavailable:
        # The claim ends by itself, then another worker takes the event.
        raise
    except Exception as error:  # noqa: BLE001 - whatever happens is recorded
        failure, retry_after = failure_of(error)
        if failure.retryable and event.attempts < context.engine.timing.attempts:
            context.engine.events.put_off(
                event, context.engine.timing.delay(event.attempts, retry_after)
            )
            metrics.RETRIES.labels("event", failure.code).inc()
            return
        ended = Outcome.DEAD if failure.retryable else Outcome.FAILED
        outcome = EventOutcome(outcome=ended, reason=failure.code, message=failure.message)
    context.engine.events.settle([(event, outcome)])
    metrics.EVENTS.labels(event.record.registry, outcome.outcome).inc()


def _outcome(
    context: WorkerContext,
    expansion: Expansion,
    event: ClaimedEvent,
    known: dict[str, EventOutcome],
) -> EventOutcome:
    record = event.record
    rule = expansion.triage(record)
    if isinstance(rule, EventOutcome):
        return rule
    # The same push told many times over is looked at once per batch: nothing newer is known of it.
    same = record.model_dump_json(exclude={"id": True, "received": True, "event": {"delivery_id"}})
    if same in known:
        return known[same]
    config = context.current().registry(record.registry)
    repository = context.repository(config, record.event.repository)
    outcome = expansion.expand(record, rule, repository)
    known[same] = outcome
    return outcome
