"""Routes over bulk reprocessing and its batches."""

# Annotations are evaluated at once: FastAPI cannot resolve the routers' local names later.

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from app.admin.access import Access
from app.admin.authorization import Principal
from app.admin.idempotency import once
from app.admin.paging import CursorQuery, LimitQuery, link_next
from app.admin.schemas import BatchList, Reprocess, ReprocessPlan, SweepsAsked
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.jobs.batches import Batch, BatchProgress
from app.jobs.intake import IntakeOptions
from app.jobs.selection import Selector, item_of, select
from app.problems import Problem


def batches_router(services: AdminServices, access: Access) -> APIRouter:
    """``POST /v1/reprocess`` and routes under ``/v1/batches``."""
    router = APIRouter(prefix="/v1", tags=["batches"])
    read = Annotated[Principal, Depends(access.allow(Role.read))]
    operate = Annotated[Principal, Depends(access.allow(Role.operate))]

    @router.post(
        "/reprocess",
        status_code=202,
        response_model=None,
        responses={200: {"model": ReprocessPlan}, 202: {"model": Batch | SweepsAsked}},
    )
    def reprocess(body: Reprocess, request: Request, who: operate) -> JSONResponse:
        """Convert known images again as one batch; ``only=missing`` makes the sweep due."""
        if body.registry is not None:
            services.registry(body.registry)
        if body.only == "missing":
            return once(services.redis, request, who, body, lambda: _sweep(services, body, who))
        selector = _selector(body)
        if body.dry_run:
            states = Counter(str(job.state) for job in select(services.engine.ledger, selector))
            plan = ReprocessPlan(images=states.total(), by_state=dict(states))
            return JSONResponse(plan.model_dump())

        def work() -> tuple[dict[str, Any], str]:
            services.audit.record(who.name, "reprocess", body.repository, body.model_dump())
            options = IntakeOptions(
                source="manual", priority=body.priority, profiles=body.profiles, force=body.force
            )
            # Jobs of several profile sets may share an image: it is looked at once.
            items = {item_of(job): None for job in select(services.engine.ledger, selector)}
            title = f"{body.only} {body.registry or '*'}/{body.repository}"
            batch = services.batches.create(items, options, actor=who.name, title=title)
            return batch.model_dump(mode="json"), f"/v1/batches/{batch.id}"

        return once(services.redis, request, who, body, work)

    @router.get("/batches")
    def listing(
        request: Request,
        response: Response,
        who: read,
        cursor: CursorQuery = None,
        limit: LimitQuery = 50,
    ) -> BatchList:
        """Page through batches, newest first."""
        batches, following = services.batches.listing(cursor, limit)
        link_next(request, response, following)
        return BatchList(items=tuple(batches), next=following)

    @router.get("/batches/{batch_id}")
    def get(batch_id: str, who: read) -> BatchProgress:
        """A batch and how far it is."""
        return batch_or_404(services, batch_id)

    @router.post("/batches/{batch_id}/pause", status_code=202)
    def pause(batch_id: str, who: operate) -> BatchProgress:
        """Feed nothing more; what is queued goes on."""
        batch_or_404(services, batch_id)
        services.audit.record(who.name, "batch.pause", batch_id)
        services.batches.pause(batch_id)
        return batch_or_404(services, batch_id)

    @router.post("/batches/{batch_id}/resume", status_code=202)
    def resume(batch_id: str, who: operate) -> BatchProgress:
        """Feed again."""
        batch_or_404(services, batch_id)
        services.audit.record(who.name, "batch.resume", batch_id)
        services.batches.resume(batch_id)
        return batch_or_404(services, batch_id)

    @router.post("/batches/{batch_id}/cancel", status_code=202)
    def cancel(batch_id: str, who: operate) -> BatchProgress:
        """Forget what was not fed, cancel what is unfinished."""
        batch_or_404(services, batch_id)
        services.audit.record(who.name, "batch.cancel", batch_id)
        services.batches.cancel(batch_id, services.engine)
        return batch_or_404(services, batch_id)

    return router


def batch_or_404(services: AdminServices, batch_id: str) -> BatchProgress:
    """Find a batch; raises ``Problem`` 404."""
    found = services.batches.get(batch_id)
    if found is None:
        raise Problem(404, "batch-unknown", f"no batch {batch_id!r}")
    return found


def _selector(body: Reprocess) -> Selector:
    assert body.only != "missing"
    return Selector(
        registry=body.registry,
        repository=body.repository,
        only=body.only,
        builder_below=body.builder_below,
        since=body.since,
    )


def _sweep(services: AdminServices, body: Reprocess, who: Principal) -> tuple[dict[str, Any], str]:
    if body.dry_run:
        raise Problem(
            422,
            "dry-run-unsupported",
            "only=missing reads the registry: use verilayer sweep --dry-run",
        )
    names = [body.registry] if body.registry else [r.id for r in services.config().registries]
    services.audit.record(who.name, "sweep.ask", ",".join(names))
    for name in names:
        services.sweeps.ask(name)
    return SweepsAsked(sweeps=tuple(names)).model_dump(mode="json"), "/v1/queues"
