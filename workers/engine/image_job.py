"""Runs one job: plan the image, have its layers built by others, attach its bundles.

A job never waits in a worker. It asks for the layers it lacks and parks; the last of them to finish
wakes it, and it plans again from what the ledger then says, so that running it twice, or after a
crash anywhere, ends the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import structlog

from app.catalog.profiles import ProfileName
from app.errors import Cancelled, ContentMismatch, NotConvertible, Unavailable
from app.jobs.records import AttachedBundle, Job, JobLayer
from app.jobs.schedule import Lease
from app.jobs.state import IllegalTransition
from app.jobs.store import LeaseLost
from app.observability import logging, metrics, tracing
from app.oci.digest import Digest
from app.oci.images import ImagePlan
from workers.artifacts.compose import Bundle, compose_all, wants_single_device
from workers.engine.context import WorkerConfiguration, WorkerContext
from workers.engine.failures import failure_of
from workers.engine.layers import LayerFailed, Layers
from workers.engine.pulse import Pulse
from workers.engine.signatures import image_signer
from workers.images.lossless import check_lossless
from workers.images.plan import read_plan
from workers.images.publication import Placement, Published, attached_already, publish

log = structlog.get_logger(__name__)


def run_image(context: WorkerContext, lease: Lease) -> None:
    """Run a claimed job to whatever state the ledger then shows."""
    ledger = context.engine.ledger
    try:
        job = ledger.begin(lease)
    except (KeyError, LeaseLost, IllegalTransition) as error:
        log.info("job.not_ours", unit=lease.unit, error=str(error))
        context.engine.schedule.release(lease)
        return
    with (
        logging.bound(job_id=job.id),
        tracing.span("image", traceparent=job.traceparent, job=job.id),
        Pulse(context.engine.schedule, lease, context.engine.timing) as pulse,
    ):
        try:
            _Run(context, job, pulse).run()
        except LeaseLost:
            log.warning("job.lease_lost", job=job.id)
        except Exception as error:  # noqa: BLE001 - whatever happens is recorded
            _ended_badly(context, lease, pulse, error)


def _ended_badly(context: WorkerContext, lease: Lease, pulse: Pulse, error: Exception) -> None:
    ledger = context.engine.ledger
    try:
        if isinstance(error, Cancelled):
            if pulse.cancelled:
                _count(ledger.cancelled(lease))
        elif isinstance(error, NotConvertible):
            entries = cast(tuple[str, ...], error.details.get("entries", ()))
            _count(ledger.skip(lease, error.reason, error.message, entries))
        elif isinstance(error, LayerFailed):
            if error.failure.retryable:
                _count(ledger.bury(lease, error.failure))
            else:
                _count(ledger.fail(lease, error.failure))
        else:
            failure, retry_after = failure_of(error)
            log.warning("job.failed", job=lease.record_id, code=failure.code, error=failure.message)
            if failure.retryable:
                metrics.RETRIES.labels("image", failure.code).inc()
            _count(ledger.fail(lease, failure, retry_after))
    except LeaseLost:
        log.warning("job.lease_lost", job=lease.record_id)


def _count(job: Job) -> None:
    if job.finished:
        metrics.JOBS_FINISHED.labels(job.state).inc()


class _Run:
    """One pass over one job."""

    def __init__(self, context: WorkerContext, job: Job, pulse: Pulse) -> None:
        self._context = context
        self._job = job
        self._pulse = pulse
        self._active: WorkerConfiguration = context.current()
        self._repository = context.repository(self._active.registry(job.registry), job.repository)
        self._timings: dict[str, float] = dict(job.timings)
        self._profiles: tuple[ProfileName, ...] = job.profiles

    def run(self) -> None:
        """Plan, then park or attach."""
        job = self._job
        self._pulse.report("planning")
        with self._timed("plan"):
            plan = read_plan(self._repository, job.digest)
        self._check_rule(plan)
        if job.dry_run:
            self._finish(plan, (), (), "dry run")
            return
        layers = Layers(self._context, self._active, self._repository, job)
        if not job.force and not layers.known(plan):
            kept = attached_already(self._repository, plan, self._profiles)
            if kept is not None:
                self._finish(plan, kept, (), "attached already")
                return
        with self._timed("layers"):
            found = layers.gather(plan)
        if any(one.outcome == "pending" for one in found):
            self._context.engine.ledger.park(
                self._pulse.lease,
                found,
                platform=str(plan.platform),
                builder_version=self._active.config.build.builder_version,
                timings=self._timings,
            )
            return
        self._attach(plan, found, layers)

    def _check_rule(self, plan: ImagePlan) -> None:
        # The platform of an image that no index names is known only now.
        rule = self._active.rule(self._job.rule)
        if rule is None:
            return
        if self._job.parent is None and not rule.matches_platform(plan.platform):
            raise NotConvertible("platform", f"rule {rule.name} does not want {plan.platform}")
        if rule.max_image_bytes is not None and plan.size > rule.max_image_bytes:
            raise NotConvertible(
                "too-large", f"its layers have {plan.size} bytes, rule {rule.name} allows fewer"
            )

    def _attach(self, plan: ImagePlan, found: list[JobLayer], layers: Layers) -> None:
        job, facts = self._job, layers.facts()
        check_lossless(plan, facts, self._active.config.build.allow_lossy)
        with self._timed("sign"):
            signer = image_signer(
                self._context, self._active, job, wants_single_device(self._profiles)
            )
            signed = [signer.sign(facts[one.descriptor.digest], one) for one in plan.layers]
            bundles = compose_all(self._profiles, plan.subject, signed)
        self._context.engine.own_pushes.remember(
            job.registry, [bundle.manifest.digest for bundle in bundles]
        )
        self._pulse.report("attaching")
        self._pulse.check()
        with self._timed("attach"):
            published = self._publish(bundles)
        types = {bundle.manifest.digest: bundle.artifact_type for bundle in bundles}
        self._finish(plan, published, found, "", types)

    def _publish(self, bundles: list[Bundle]) -> list[Published]:
        try:
            return publish(
                self._repository,
                bundles,
                placement=Placement.from_defaults(self._active.config.defaults),
                force=self._job.force,
            )
        except ContentMismatch as error:
            # Blobs went away since they were looked for: the next attempt builds them again.
            raise Unavailable(error.message, advice=error.advice) from error

    def _finish(
        self,
        plan: ImagePlan,
        published: list[Published] | tuple[()],
        layers: list[JobLayer] | tuple[()],
        note: str,
        types: dict[Digest, str] | None = None,
    ) -> None:
        bundles = [
            AttachedBundle(
                profile=one.profile,
                digest=one.digest,
                artifact_type=(types or {}).get(one.digest, ""),
                pushed=one.action in ("attached", "replaced"),
            )
            for one in published
        ]
        facts: dict[str, object] = {
            "platform": str(plan.platform),
            "builder_version": self._active.config.build.builder_version,
        }
        done = self._context.engine.ledger.succeed(
            self._pulse.lease, bundles, layers, self._timings, note, **facts
        )
        _count(done)
        metrics.observe_phases({p: s for p, s in self._timings.items() if p != "total"})
        if done.received is not None and done.ended is not None and not note:
            metrics.PUSH_TO_ATTACHED.observe(max(0.0, done.ended - done.received))
        log.info("job.succeeded", job=done.id, repository=done.repository, image=done.digest)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = self._timings.get(phase, 0.0) + time.perf_counter() - started
            self._timings[phase] = round(spent, 4)
