"""Routes over queues, dead letters and the audit trail."""

# Annotations are evaluated at once: FastAPI cannot resolve the routers' local names later.

from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.admin.access import Access
from app.admin.authorization import Principal
from app.admin.jobs import job_or_404
from app.admin.paging import CursorQuery, LimitQuery, link_next
from app.admin.schemas import AuditPage, DeadEvents, JobList, QueuesView, QueueView, Whoami
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.jobs.messages import Lane
from app.jobs.records import Job
from app.jobs.state import JobState
from app.problems import Problem


def queues_router(services: AdminServices, access: Access) -> APIRouter:
    """Routes under ``/v1/queues``, ``/v1/registries`` and ``/v1/audit``."""
    router = APIRouter(prefix="/v1", tags=["queues"])
    read = Annotated[Principal, Depends(access.allow(Role.read))]
    operate = Annotated[Principal, Depends(access.allow(Role.operate))]

    @router.get("/queues")
    def queues(who: read) -> QueuesView:
        """Depth, oldest age and running units of every lane."""
        return queues_view(services)

    @router.post("/queues/{lane}/pause", status_code=202)
    def pause_lane(lane: Lane, who: operate) -> QueuesView:
        """Admit nothing more to a lane."""
        services.audit.record(who.name, "queue.pause", lane)
        services.engine.schedule.pause_lane(lane)
        return queues_view(services)

    @router.post("/queues/{lane}/resume", status_code=202)
    def resume_lane(lane: Lane, who: operate) -> QueuesView:
        """Admit again."""
        services.audit.record(who.name, "queue.resume", lane)
        services.engine.schedule.resume_lane(lane)
        services.engine.wake_all(recount=True)
        return queues_view(services)

    @router.post("/registries/{registry_id}/pause", status_code=202)
    def pause_registry(registry_id: str, who: operate) -> QueuesView:
        """Start no more work for a registry."""
        services.registry(registry_id)
        services.audit.record(who.name, "registry.pause", registry_id)
        services.engine.schedule.pause(registry_id)
        return queues_view(services)

    @router.post("/registries/{registry_id}/resume", status_code=202)
    def resume_registry(registry_id: str, who: operate) -> QueuesView:
        """Start work for it again."""
        services.registry(registry_id)
        services.audit.record(who.name, "registry.resume", registry_id)
        services.engine.schedule.resume(registry_id)
        services.engine.wake_all(recount=True)
        return queues_view(services)

    @router.get("/audit", tags=["audit"])
    def audit(
        request: Request,
        response: Response,
        who: read,
        cursor: Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,14}-[0-9]{1,15}$")] = None,
        limit: LimitQuery = 50,
    ) -> AuditPage:
        """Who changed what, newest first."""
        entries, following = services.audit.page(cursor, limit)
        link_next(request, response, following)
        return AuditPage(items=tuple(entries), next=following)

    @router.get("/whoami", tags=["audit"])
    def whoami(who: read) -> Whoami:
        """The caller as the service sees it."""
        return Whoami(name=who.name, role=who.role.name)

    return router


def dead_letters_router(services: AdminServices, access: Access) -> APIRouter:
    """Routes under ``/v1/dead-letters``."""
    router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])
    read = Annotated[Principal, Depends(access.allow(Role.read))]
    operate = Annotated[Principal, Depends(access.allow(Role.operate))]
    admin = Annotated[Principal, Depends(access.allow(Role.admin))]

    @router.get("")
    def listing(
        request: Request,
        response: Response,
        who: read,
        cursor: CursorQuery = None,
        limit: LimitQuery = 50,
    ) -> JobList:
        """Jobs whose attempts are used up."""
        page = services.engine.ledger.listing(state=JobState.DEAD, cursor=cursor, limit=limit)
        link_next(request, response, page.cursor)
        return JobList(items=page.items, next=page.cursor)

    @router.get("/events")
    def events(who: read, limit: LimitQuery = 50) -> DeadEvents:
        """Accepted events that could not be resolved into jobs, oldest first."""
        return DeadEvents(items=tuple(services.engine.events.dead(limit)))

    @router.post("/events/{event}/requeue", status_code=202)
    def requeue_event(event: Annotated[int, Path(ge=0, le=2**53)], who: operate) -> DeadEvents:
        """Give an event to the intake again, as a new one; answers with what is left."""
        services.audit.record(who.name, "dead.requeue-event", str(event))
        if not services.engine.events.requeue_dead(event):
            raise Problem(404, "event-unknown", f"no dead event {event}")
        return DeadEvents(items=tuple(services.engine.events.dead(50)))

    @router.post("/{job_id}/requeue", status_code=202)
    def requeue(job_id: str, who: operate) -> Job:
        """Give it new attempts."""
        dead_or_409(services, job_id)
        services.audit.record(who.name, "dead.requeue", job_id)
        job = services.engine.ledger.retry(job_id)
        services.engine.wake_all()
        return job

    @router.post("/{job_id}/drop", status_code=202)
    def drop(job_id: str, who: admin) -> Job:
        """Give it up; it becomes ``cancelled``."""
        dead_or_409(services, job_id)
        services.audit.record(who.name, "dead.drop", job_id)
        return services.engine.ledger.drop(job_id)

    return router


def dead_or_409(services: AdminServices, job_id: str) -> None:
    """Check that a job is a dead letter; raises ``Problem`` 404, 409."""
    job = job_or_404(services, job_id)
    if job.state is not JobState.DEAD:
        raise Problem(409, "not-dead", f"job {job_id} is {job.state}, not a dead letter")


def queues_view(services: AdminServices) -> QueuesView:
    """Read all lanes."""
    schedule = services.engine.schedule
    registries, lanes = schedule.paused()
    by_registry: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    oldest: dict[str, float] = defaultdict(float)
    for depth in schedule.depths():
        by_registry[depth.lane][depth.registry] += depth.waiting
        oldest[depth.lane] = max(oldest[depth.lane], depth.oldest_age)
    running: dict[str, int] = defaultdict(int)
    for unit in schedule.running():
        running[unit.split(" ", 1)[0]] += 1
    return QueuesView(
        lanes=tuple(
            QueueView(
                lane=lane,
                waiting=sum(by_registry[lane].values()),
                running=running[lane],
                oldest_age=oldest[lane],
                paused=lane in lanes,
                by_registry=dict(by_registry[lane]),
            )
            for lane in Lane
        ),
        paused_registries=tuple(sorted(registries)),
        events_pending=services.engine.events.due(),
        jobs={str(state): count for state, count in services.engine.ledger.counts().items()},
    )
