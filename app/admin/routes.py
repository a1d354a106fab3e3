"""The admin API as a whole."""

# Annotations are evaluated at once: FastAPI cannot resolve the routers' local names later.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from app.admin.access import Access
from app.admin.authorization import Principal
from app.admin.batches import batches_router
from app.admin.images import images_router
from app.admin.jobs import jobs_router
from app.admin.queues import dead_letters_router, queues_router
from app.admin.rules import rules_router
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.problems import MEDIA_TYPE

_PROBLEM = {
    "description": "Problem document (RFC 9457)",
    "content": {
        MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "instance": {"type": "string"},
                    "code": {"type": "string"},
                    "advice": {"type": "string"},
                },
            },
            "example": {
                "type": "urn:verilayer:problem:job-unknown",
                "title": "Not found",
                "status": 404,
                "detail": "no job 'j0'; finished jobs are kept for a while",
                "instance": "/v1/jobs/j0",
                "code": "job-unknown",
            },
        }
    },
}
#: What any route may answer.
_RESPONSES: dict[int | str, dict[str, Any]] = dict.fromkeys(
    (400, 401, 403, 404, 409, 422, 429, 502, 503), _PROBLEM
)


def include_admin(app: FastAPI, services: AdminServices) -> Access:
    """Add every ``/v1`` route; returns what authenticates callers, for the console."""
    access = Access(services)
    read = Annotated[Principal, Depends(access.allow(Role.read))]

    def reader(_who: read) -> None:
        """The rules route has no caller of its own."""

    for router in (
        jobs_router(services, access),
        batches_router(services, access),
        queues_router(services, access),
        dead_letters_router(services, access),
        images_router(services, access),
    ):
        app.include_router(router, responses=_RESPONSES)
    rules: APIRouter = rules_router(services.config)
    app.include_router(rules, responses=_RESPONSES, dependencies=[Depends(reader)])
    return access
