"""Routes over one image: what is attached to it, and its verification as a job of a worker."""

# Annotations are evaluated at once: FastAPI cannot resolve the routers' local names later.

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from app.admin.access import Access
from app.admin.authorization import Principal
from app.admin.idempotency import once
from app.admin.jobs import event_of
from app.admin.schemas import ImageView, Verify
from app.admin.services import AdminServices
from app.catalog.vocabulary import Role
from app.jobs.push import PushEvent
from app.jobs.requests import VerificationRequest
from app.oci.digest import Digest
from app.oci.reference import check_repository
from app.problems import Problem

#: Jobs of one repository that are looked through for the image.
_LOOK_THROUGH = 200


def images_router(services: AdminServices, access: Access) -> APIRouter:
    """Routes under ``/v1/images`` and ``/v1/verifications``."""
    router = APIRouter(prefix="/v1", tags=["images"])
    read = Annotated[Principal, Depends(access.allow(Role.read))]
    operate = Annotated[Principal, Depends(access.allow(Role.operate))]

    @router.get("/images/{registry}/{image:path}")
    def image(registry: str, image: str, who: read) -> ImageView:
        """``{registry}/{repository}@{digest}``: its jobs, referrers and last verification."""
        return image_view(services, registry, image)

    @router.post("/verify", status_code=202, response_model=VerificationRequest)
    def verify(body: Verify, request: Request, who: operate) -> JSONResponse:
        """Have a worker check what is attached; ``Location`` holds the report when it is done."""
        registry, event = event_of(services, body)

        def work() -> tuple[dict[str, Any], str]:
            wanted = ask_verification(services, registry, event, who, deep=body.deep)
            return wanted.model_dump(mode="json"), f"/v1/verifications/{wanted.id}"

        return once(services.redis, request, who, body, work)

    @router.get("/verifications/{verification_id}")
    def verification(verification_id: str, who: read) -> VerificationRequest:
        """A verification and its report."""
        found = services.verifications.get(verification_id)
        if found is None:
            raise Problem(404, "verification-unknown", f"no verification {verification_id!r}")
        if services.verifications.stale(found):
            found = services.verifications.change(found, state="queued")
            services.wake_verifier(found.id)
        return found

    return router


def image_view(services: AdminServices, registry: str, image: str) -> ImageView:
    """Look an image ``repository@digest`` up; raises ``Problem``, ``RegistryError``."""
    config = services.registry(registry)
    repository, digest = _image(image)
    jobs = services.engine.ledger.listing(
        registry=registry, repository=repository, limit=_LOOK_THROUGH
    )
    with services.repository(config, repository) as opened:
        referrers = opened.list_referrers(digest)
    return ImageView(
        registry=registry,
        repository=repository,
        digest=digest,
        jobs=tuple(job for job in jobs.items if digest in (job.digest, job.parent)),
        referrers=tuple(referrers),
        verification=services.verifications.latest(registry, repository, digest),
    )


def ask_verification(
    services: AdminServices, registry: str, event: PushEvent, who: Principal, *, deep: bool
) -> VerificationRequest:
    """Have a worker verify an image."""
    reference = event.digest or event.tag or "latest"
    services.audit.record(who.name, "verify", f"{registry}/{event.repository}:{reference}")
    wanted = services.verifications.create(
        registry, event.repository, reference, deep=deep, actor=who.name
    )
    services.wake_verifier(wanted.id)
    return wanted


def _image(text: str) -> tuple[str, Digest]:
    repository, _, digest = text.partition("@")
    try:
        return check_repository(repository), Digest(digest)
    except ValueError as error:
        raise Problem(422, "image-invalid", f"expected repository@digest: {error}") from None
