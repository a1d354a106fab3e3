"""The console's pages and buttons."""

# Annotations are evaluated at once: FastAPI cannot resolve the routers' local names later.

import time
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from app.admin.access import Access
from app.admin.images import ask_verification, image_view
from app.admin.jobs import job_or_404
from app.admin.progress import EVENT_STREAM, job_stream
from app.admin.queues import queues_view
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.console.actions import ACTIONS, act, told
from app.console.charts import HEIGHT, WIDTH, charts, recent_jobs
from app.console.gate import COOKIE, Gate, Visit, check_csrf, own_form
from app.console.rendering import ConsoleRoute, page
from app.console.sessions import Sessions
from app.jobs.push import PushEvent
from app.jobs.state import JobState
from app.problems import Problem

_STATIC = {"console.css": "text/css", "console.js": "text/javascript"}

Form = Annotated[dict[str, str], Depends(own_form)]
Cursor = Annotated[str | None, Query(max_length=200)]
Done = Annotated[str | None, Query(max_length=40)]


def console_router(services: AdminServices, access: Access) -> APIRouter:
    """Everything under ``/console``."""
    sessions = Sessions(services.redis, lambda: services.config().admin)
    gate = Gate(access, sessions)
    router = APIRouter(prefix="/console", route_class=ConsoleRoute)
    _add_entrance(router, access, sessions)
    _add_pages(router, services, gate)
    _add_job_pages(router, services, gate)
    _add_image_page(router, services, gate)
    _add_buttons(router, services, gate)
    return router


def _add_entrance(router: APIRouter, access: Access, sessions: Sessions) -> None:
    @router.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in _STATIC:
            raise Problem(404, "not-found", "there is no such file")
        content = files("app.console").joinpath("static", name).read_bytes()
        return Response(content, media_type=_STATIC[name])

    @router.get("/login")
    def login_form(next: str = "/console") -> Response:
        return page("login.html", next=_own(next), problem="")

    @router.post("/login")
    def login(request: Request, form: Form) -> Response:
        token, after = form.get("token", "").strip(), _own(form.get("next", ""))
        try:
            who = access.authenticate(f"Bearer {token}")
        except Problem as error:
            if error.status not in (401, 403):
                raise
            return page("login.html", error.status, next=after, problem=error.detail)
        session_id, lifetime = sessions.create(who, token)
        secure = "https" in (request.url.scheme, request.headers.get("X-Forwarded-Proto"))
        response = RedirectResponse(after, 303)
        response.set_cookie(
            COOKIE, session_id, max_age=lifetime, path="/console", secure=secure, httponly=True,
            samesite="strict",
        )  # fmt: skip
        return response

    @router.post("/logout")
    def logout(request: Request, form: Form) -> Response:
        sessions.end(request.cookies.get(COOKIE, ""))
        response = RedirectResponse("/console/login", 303)
        response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
        return response


def _add_pages(router: APIRouter, services: AdminServices, gate: Gate) -> None:
    logged_in = Annotated[Visit, Depends(gate.visit)]

    @router.get("")
    def overview(visit: logged_in, done: Done = None) -> Response:
        now = time.time()
        drawn = charts(recent_jobs(services.engine.ledger, now), now)
        return page(
            "overview.html", visit=visit, view=queues_view(services), charts=drawn,
            width=WIDTH, height=HEIGHT, message=told(done),
        )  # fmt: skip

    @router.get("/dead")
    def dead(visit: logged_in, cursor: Cursor = None, done: Done = None) -> Response:
        found = services.engine.ledger.listing(state=JobState.DEAD, cursor=cursor, limit=50)
        return page(
            "dead.html", visit=visit, jobs=found.items, following=found.cursor, message=told(done)
        )

    @router.get("/batches")
    def batches(visit: logged_in, cursor: Cursor = None, done: Done = None) -> Response:
        found, following = services.batches.listing(cursor, 50)
        progress = [services.batches.get(batch.id) for batch in found]
        return page(
            "batches.html", visit=visit, batches=[one for one in progress if one],
            following=following, message=told(done),
        )  # fmt: skip


def _add_job_pages(router: APIRouter, services: AdminServices, gate: Gate) -> None:
    logged_in = Annotated[Visit, Depends(gate.visit)]

    @router.get("/jobs")
    def jobs(
        visit: logged_in,
        state: Annotated[str, Query(max_length=20)] = "",
        registry: Annotated[str, Query(max_length=63)] = "",
        repository: Annotated[str, Query(max_length=255)] = "",
        cursor: Cursor = None,
    ) -> Response:
        if repository and not registry:
            raise Problem(422, "registry-missing", "choose a registry too to see one repository")
        chosen = JobState(state) if state in set(JobState) else None
        found = services.engine.ledger.listing(
            state=chosen, registry=registry or None, repository=repository or None,
            cursor=cursor, limit=50,
        )  # fmt: skip
        return page(
            "jobs.html", visit=visit, jobs=found.items, following=found.cursor,
            states=list(JobState), state=state, registry=registry, repository=repository,
            registries=[one.id for one in services.config().registries],
        )  # fmt: skip

    @router.get("/jobs/{job_id}")
    def job(job_id: str, visit: logged_in, done: Done = None) -> Response:
        found = job_or_404(services, job_id)
        engine = services.engine
        builds = {one.build: engine.builds.get(one.build) for one in found.layers if one.build}
        running = [job_id, *(name for name, one in builds.items() if one and not one.finished)]
        progress = {name: engine.schedule.progress(name) for name in running}
        return page(
            "job.html", visit=visit, job=found, builds=builds, progress=progress,
            message=told(done),
        )  # fmt: skip

    @router.get("/jobs/{job_id}/stream")
    def stream(job_id: str, visit: logged_in) -> Response:
        job_or_404(services, job_id)
        return StreamingResponse(job_stream(services.engine, job_id), media_type=EVENT_STREAM)


def _add_image_page(router: APIRouter, services: AdminServices, gate: Gate) -> None:
    logged_in = Annotated[Visit, Depends(gate.visit)]

    @router.get("/images/{registry}/{image:path}")
    def image(registry: str, image: str, visit: logged_in, done: Done = None) -> Response:
        view = image_view(services, registry, image)
        return page("image.html", visit=visit, view=view, message=told(done))

    @router.post("/verify/{registry}/{image:path}")
    def verify(registry: str, image: str, visit: logged_in, form: Form) -> Response:
        check_csrf(visit, form)
        visit.need(Role.operate)
        view = image_view(services, registry, image)
        event = PushEvent(repository=view.repository, digest=view.digest)
        ask_verification(services, registry, event, visit.who, deep="deep" in form)
        return RedirectResponse(
            f"/console/images/{registry}/{view.repository}@{view.digest}?done=images.verify", 303
        )


def _add_buttons(router: APIRouter, services: AdminServices, gate: Gate) -> None:
    logged_in = Annotated[Visit, Depends(gate.visit)]
    short = Annotated[str, Path(max_length=64)]

    @router.post("/{kind}/{name}/{verb}")
    def button(kind: short, name: short, verb: short, visit: logged_in, form: Form) -> Response:
        check_csrf(visit, form)
        act(services, visit, kind, name, verb)
        assert (kind, verb) in ACTIONS
        after = {"jobs": f"/console/jobs/{name}", "queues": "/console"}.get(
            kind, f"/console/{kind}"
        )
        return RedirectResponse(f"{after}?done={kind}.{verb}", 303)


def _own(path: str) -> str:
    """Where to go after the login: only ever a page of ours."""
    inside = path == "/console" or path.startswith(("/console/", "/console?"))
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if inside and plain else "/console"
