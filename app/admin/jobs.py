"""Routes over jobs and the events they come from."""

# Annotations are evaluated at once: FastAPI cannot resolve the routers' local names later.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from app.admin.access import Access
from app.admin.authorization import Principal
from app.admin.idempotency import once
from app.admin.paging import CursorQuery, LimitQuery, link_next
from app.admin.progress import EVENT_STREAM, job_stream
from app.admin.schemas import EventView, JobList, JobView, SubmitJob, Submitted, Target
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.jobs.intake import IntakeOptions
from app.jobs.push import PushEvent
from app.jobs.records import Job
from app.jobs.state import JobState
from app.problems import Problem

_OTHER: dict[int | str, dict[str, Any]] = {404: {"description": "No such record"}}


def job_or_404(services: AdminServices, job_id: str) -> Job:
    """Find a job; raises ``Problem`` 404."""
    job = services.engine.ledger.get(job_id)
    if job is None:
        raise Problem(404, "job-unknown", f"no job {job_id!r}; finished jobs are kept for a while")
    return job


def event_of(services: AdminServices, target: Target) -> tuple[str, PushEvent]:
    """Turn a target into a registry id and an event; raises ``Problem``."""
    if target.reference is not None:
        registry, parsed = services.place(target.reference)
        tag = parsed.tag or (None if parsed.digest else "latest")
        event = PushEvent(repository=parsed.repository, tag=tag, digest=parsed.digest)
        return registry.id, event
    assert target.registry is not None
    assert target.repository is not None
    registry = services.registry(target.registry)
    event = PushEvent(repository=target.repository, tag=target.tag, digest=target.digest)
    return registry.id, event


def jobs_router(services: AdminServices, access: Access) -> APIRouter:
    """Routes under ``/v1/jobs`` and ``/v1/events``."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    read = Annotated[Principal, Depends(access.allow(Role.read))]
    operate = Annotated[Principal, Depends(access.allow(Role.operate))]

    @router.post("/jobs", status_code=202, response_model=Submitted)
    def submit(body: SubmitJob, request: Request, who: operate) -> JSONResponse:
        """Ask for a conversion; ``Location`` tells what became of it, jobs included."""
        registry, event = event_of(services, body)

        def work() -> tuple[dict[str, Any], str]:
            target = f"{registry}/{event.repository}:{event.tag or event.digest}"
            services.audit.record(who.name, "job.submit", target, body.model_dump(mode="json"))
            options = IntakeOptions(
                source="manual",
                priority=body.priority,
                profiles=body.profiles,
                platforms=body.platforms,
                force=body.force,
                dry_run=body.dry_run,
            )
            receipt = services.intake.accept(registry, "admin", [event], options)
            number = receipt.event_ids[0]
            location = f"/v1/events/{number}"
            return Submitted(event=number, location=location).model_dump(), location

        return once(services.redis, request, who, body, work)

    @router.get("/events/{event}", responses=_OTHER)
    def event(event: Annotated[int, Path(ge=0, le=2**53)], who: read) -> EventView:
        """What became of an accepted event, and which jobs it led to."""
        outcome = services.engine.events.outcome(event)
        if outcome is None and not services.engine.events.known(event):
            raise Problem(404, "event-unknown", f"no event {event}; outcomes are kept for 7 days")
        return EventView(event=event, state="settled" if outcome else "pending", outcome=outcome)

    @router.get("/jobs")
    def listing(
        request: Request,
        response: Response,
        who: read,
        state: JobState | None = None,
        registry: Annotated[str | None, Query(max_length=63)] = None,
        repository: Annotated[str | None, Query(max_length=255)] = None,
        cursor: CursorQuery = None,
        limit: LimitQuery = 50,
    ) -> JobList:
        """Page through jobs, newest first; ``repository`` needs ``registry``."""
        if repository is not None and registry is None:
            raise Problem(422, "registry-missing", "repository needs registry")
        page = services.engine.ledger.listing(
            state=state, registry=registry, repository=repository, cursor=cursor, limit=limit
        )
        link_next(request, response, page.cursor)
        return JobList(items=page.items, next=page.cursor)

    @router.get("/jobs/{job_id}", responses=_OTHER)
    def get(job_id: str, who: read) -> JobView:
        """A job with its layers, their builds and timings."""
        job = job_or_404(services, job_id)
        found = [services.engine.builds.get(layer.build) for layer in job.layers if layer.build]
        return JobView(
            job=job,
            builds=tuple(build for build in found if build is not None),
            progress=services.engine.schedule.progress(job_id),
        )

    @router.get(
        "/jobs/{job_id}/stream",
        responses={**_OTHER, 200: {"content": {EVENT_STREAM: {}}}},
        response_class=StreamingResponse,
    )
    def stream(job_id: str, who: read) -> StreamingResponse:
        """Follow a job by server-sent events until it is finished (ten minutes at most)."""
        job_or_404(services, job_id)
        return StreamingResponse(
            job_stream(services.engine, job_id),
            media_type=EVENT_STREAM,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.post("/jobs/{job_id}/cancel", status_code=202, responses=_OTHER)
    def cancel(job_id: str, who: operate) -> Job:
        """Cancel: at once when nobody works on it, else within seconds."""
        job_or_404(services, job_id)
        services.audit.record(who.name, "job.cancel", job_id)
        return services.engine.cancel(job_id)

    @router.post("/jobs/{job_id}/retry", status_code=202, responses=_OTHER)
    def retry(job_id: str, who: operate, force: bool = False) -> Job:
        """Queue a finished job again; ``force`` rebuilds what is there."""
        job_or_404(services, job_id)
        services.audit.record(who.name, "job.retry", job_id, {"force": force})
        job = services.engine.ledger.retry(job_id, force=force)
        services.engine.wake_all()
        return job

    return router
