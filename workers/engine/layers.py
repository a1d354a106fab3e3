"""How a job comes by its layers: built before, mounted, copied, or asked for."""

from __future__ import annotations

import structlog

from app.catalog.vocabulary import LayerOutcome
from app.errors import LayerAbsent, RecordUnproven, Unavailable, VerilayerError
from app.facts import LayerFacts
from app.jobs.messages import Lane
from app.jobs.records import Failure, Job, JobLayer, LayerBuild, build_id
from app.observability import metrics
from app.oci.digest import Digest
from app.oci.images import ImagePlan, PlannedLayer
from app.registry.repository import Repository
from workers.engine.context import WorkerConfiguration, WorkerContext
from workers.images.copying import ensure_blobs
from workers.layers.remote import stored_blobs

log = structlog.get_logger(__name__)

#: Compressed bytes from which a layer is built on the queue for large ones.
LARGE_LAYER = 512 << 20


class LayerFailed(VerilayerError):
    """A layer of the image cannot be built; ``failure`` is what its build recorded."""

    def __init__(self, layer: Digest, failure: Failure) -> None:
        message = f"layer {layer}: {failure.message}"[:1000]
        super().__init__(message)
        self.failure = failure.model_copy(update={"message": message})


class Layers:
    """The layers of one pass over a job."""

    def __init__(
        self, context: WorkerContext, active: WorkerConfiguration, repository: Repository, job: Job
    ) -> None:
        self._context = context
        self._builds = context.engine.builds
        self._options = active.config.build
        self._seals = active.authority.seals
        self._repository = repository
        self._job = job
        self._facts: dict[Digest, LayerFacts] = {}

    def facts(self) -> dict[Digest, LayerFacts]:
        """What was built, by layer; complete when ``gather`` left nothing pending."""
        return self._facts

    def known(self, plan: ImagePlan) -> bool:
        """Whether the ledger knows a build of every layer."""
        ids = [self._wanted(layer).id for layer in plan.layers]
        found = self._builds.store.get_many(ids)
        return all(build is not None and self._usable(build) for build in found)

    def gather(self, plan: ImagePlan) -> list[JobLayer]:
        """Bring what is built into the repository, ask for the rest. Raises ``LayerFailed``."""
        before = {layer.build: layer for layer in self._job.layers}
        found = []
        for planned in plan.layers:
            wanted = self._wanted(planned)
            outcome = self._one(planned, wanted, before.get(wanted.id))
            found.append(
                JobLayer(
                    digest=planned.descriptor.digest,
                    size=planned.descriptor.size,
                    build=wanted.id,
                    outcome=outcome,
                )
            )
        self._context.engine.wake_all()
        return found

    def _one(
        self, planned: PlannedLayer, wanted: LayerBuild, before: JobLayer | None
    ) -> LayerOutcome:
        build, status = self._builds.request(wanted, restart=self._job.force)
        if status == "failed":
            raise LayerFailed(wanted.layer, build.failure or Failure(code="internal"))
        if status == "pending":
            metrics.LAYER_BUILDS.labels("asked" if before is None else "awaited").inc()
            return "pending"
        assert build.facts is not None
        fresh = build.ended is not None and build.ended >= (self._job.started or 0.0)
        if not self._proven(build):
            return self._distrusted(wanted, fresh=fresh)
        self._facts[wanted.layer] = build.facts
        if fresh and before is not None and build.repository == self._job.repository:
            return "built"
        if not self._repository.blob_exists(wanted.layer):
            # Its digest alone would bring everything that is known of another repository's layer.
            raise LayerAbsent(
                f"layer {wanted.layer} is not in {self._repository.registry.host}/"
                f"{self._job.repository}",
                advice="push the image again; a manifest alone does not bring its layers",
            )
        pushed_to = Repository(self._repository.registry, build.repository)
        how = ensure_blobs(
            pushed_to, self._repository, stored_blobs(build.facts), self._context.spool
        )
        if how is not None:
            metrics.LAYER_BUILDS.labels("hit").inc()
            # An earlier pass of this job may have brought it already.
            return before.outcome if before and before.outcome != "pending" else how
        return self._rebuild(wanted, build)

    def _rebuild(self, wanted: LayerBuild, build: LayerBuild) -> LayerOutcome:
        # The record is stale: its blobs are gone from where they were pushed.
        if build.ended is not None and build.ended >= (self._job.started or 0.0):
            raise Unavailable(
                f"blobs of layer {wanted.layer} are gone again right after they were pushed",
                advice="look for a garbage collection that runs beside pushes",
            )
        self._facts.pop(wanted.layer, None)
        return self._ask_again(wanted)

    def _usable(self, build: LayerBuild) -> bool:
        """Whether the record counts as known: it is being made, or was, by a worker of ours."""
        return not build.outdated and (build.facts is None or self._proven(build))

    def _proven(self, build: LayerBuild) -> bool:
        """Whether a worker recorded these facts, and of this build."""
        facts = build.facts
        return (
            facts is not None
            and self._seals.hold(facts)
            and (facts.layer_digest, facts.diff_id, facts.builder_version, facts.padding)
            == (build.layer, build.diff_id, build.builder_version, build.padding)
        )

    def _distrusted(self, wanted: LayerBuild, *, fresh: bool) -> LayerOutcome:
        """Throw a record away that no worker of ours sealed; raises ``RecordUnproven``."""
        metrics.LAYER_BUILDS.labels("distrusted").inc()
        log.warning("layer.record_distrusted", build=wanted.id, layer=wanted.layer, fresh=fresh)
        if fresh:  # It was built for this very run: building it once more would go on for ever.
            raise RecordUnproven(
                f"what was recorded of layer {wanted.layer} does not bear the seal of a worker",
                advice="all workers need the same evidence key: VERILAYER_EVIDENCE_KEY_FILE",
            )
        return self._ask_again(wanted)

    def _ask_again(self, wanted: LayerBuild) -> LayerOutcome:
        now = self._context.engine.now()
        self._builds.request(wanted.model_copy(update={"submitted": now}), restart=True)
        return "pending"

    def _wanted(self, planned: PlannedLayer) -> LayerBuild:
        job, options, layer = self._job, self._options, planned.descriptor
        lane = Lane.LAYER_LARGE if layer.size >= LARGE_LAYER else Lane.LAYER
        now = self._context.engine.now()
        return LayerBuild(
            id=build_id(
                job.registry,
                layer,
                planned.diff_id,
                options.builder_version,
                options.padding,
            ),
            registry=job.registry,
            repository=job.repository,
            source=job.source,
            priority=job.priority,
            created=now,
            updated=now,
            submitted=job.submitted,
            traceparent=job.traceparent,
            layer=layer.digest,
            diff_id=planned.diff_id,
            size=layer.size,
            media_type=layer.media_type,
            builder_version=options.builder_version,
            padding=options.padding,
            lane=lane,
        )
