"""Builds one layer that jobs wait for."""

from __future__ import annotations

import time
from dataclasses import replace

import structlog

from app.errors import Cancelled
from app.jobs.records import Failure, LayerBuild
from app.jobs.schedule import Lease
from app.jobs.state import IllegalTransition
from app.jobs.store import LeaseLost
from app.observability import logging, metrics, tracing
from app.oci.descriptor import Descriptor
from workers.engine.context import WorkerContext
from workers.engine.failures import failure_of
from workers.engine.interruption import interruptible
from workers.engine.pulse import Pulse
from workers.layers.remote import build_remote_layer, layer_options, push_built

log = structlog.get_logger(__name__)


def run_layer(context: WorkerContext, lease: Lease) -> None:
    """Run a claimed layer build to whatever end the ledger then shows."""
    builds = context.engine.builds
    try:
        build = builds.begin(lease)
    except KeyError:
        context.engine.schedule.release(lease)
        return
    except (LeaseLost, IllegalTransition) as error:
        log.info("layer.not_ours", unit=lease.unit, error=str(error))
        context.engine.schedule.release(lease)
        return
    with (
        logging.bound(build_id=build.id),
        tracing.span("layer", traceparent=build.traceparent, build=build.id),
        Pulse(context.engine.schedule, lease, context.engine.timing) as pulse,
    ):
        try:
            with interruptible(pulse):
                _build(context, build, pulse)
        except LeaseLost:
            log.warning("layer.lease_lost", build=build.id)
        except Cancelled:
            _stopped(context, lease, pulse)
        except Exception as error:  # noqa: BLE001 - whatever happens is recorded
            _failed(context, lease, error)


def _build(context: WorkerContext, build: LayerBuild, pulse: Pulse) -> None:
    started = time.perf_counter()
    active = context.current()
    repository = context.repository(active.registry(build.registry), build.repository)
    layer = Descriptor(media_type=build.media_type, digest=build.layer, size=build.size)
    # What names the build decides; the limits are those in force.
    options = replace(
        layer_options(active.config.build, layer),
        builder_version=build.builder_version,
        padding=build.padding,
    )
    with build_remote_layer(
        repository,
        layer,
        build.diff_id,
        options,
        context.spool,
        cancelled=pulse.stopping,
        progress=pulse.report,
    ) as built:
        facts = active.authority.seals.sealed(built.facts)
        pulse.report("pushing", 0, facts.index_size + facts.tree_size)
        pulse.check()
        pushing = push_built(repository, built)
        timings = {**built.timings, "push": pushing, "total": time.perf_counter() - started}
    context.engine.builds.succeed(
        pulse.lease, facts, {phase: round(seconds, 4) for phase, seconds in timings.items()}
    )
    metrics.LAYER_BUILDS.labels("built").inc()
    metrics.observe_phases(timings)
    log.info("layer.built", build=build.id, layer=build.layer, seconds=round(timings["total"], 3))


def _stopped(context: WorkerContext, lease: Lease, pulse: Pulse) -> None:
    if pulse.lost:
        log.warning("layer.lease_lost", unit=lease.unit)
        return
    failure = Failure(code="cancelled", message="no job waits for it any more")
    context.engine.builds.fail(lease, failure)


def _failed(context: WorkerContext, lease: Lease, error: Exception) -> None:
    failure, retry_after = failure_of(error)
    log.warning("layer.failed", unit=lease.unit, code=failure.code, error=failure.message)
    if failure.retryable:
        metrics.RETRIES.labels("layer", failure.code).inc()
    try:
        context.engine.builds.fail(lease, failure, retry_after)
    except LeaseLost:
        log.warning("layer.lease_lost", unit=lease.unit)
