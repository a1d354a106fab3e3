"""Bodies of the admin API, shared by the routes and the Python client. Times are epoch seconds."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.catalog.profiles import PROFILES
from app.catalog.vocabulary import Priority, Reprocessed
from app.config.choice import ProfileChoice
from app.jobs.audit import AuditEntry
from app.jobs.batches import Batch
from app.jobs.intake import IntakeRecord
from app.jobs.pending import EventOutcome
from app.jobs.records import Job, LayerBuild
from app.jobs.requests import VerificationRequest
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.reference import REPOSITORY, TAG

_REFERENCE = "registry.example/team/app:1.4"


class Body(BaseModel):
    """Base of request bodies: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class Target(Body):
    """An image: ``reference``, or ``registry`` (id), ``repository`` and ``tag`` or ``digest``."""

    reference: str | None = Field(default=None, max_length=600, examples=[_REFERENCE])
    registry: str | None = Field(default=None, max_length=63)
    repository: str | None = Field(
        default=None, max_length=255, pattern=REPOSITORY.pattern[:-2] + "$"
    )
    tag: str | None = Field(default=None, pattern=TAG.pattern[:-2] + "$")
    digest: Digest | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        apart = (self.registry, self.repository, self.tag, self.digest)
        if self.reference is not None:
            if any(part is not None for part in apart):
                raise ValueError("give reference alone, or registry, repository and tag or digest")
        elif None in (self.registry, self.repository) or self.tag is self.digest is None:
            raise ValueError("give reference, or registry, repository and tag or digest")
        return self


class SubmitJob(Target):
    """Ask for a conversion."""

    platforms: tuple[str, ...] = Field(default=(), max_length=20, examples=[["linux/amd64"]])
    profiles: tuple[ProfileChoice, ...] = Field(default=(), max_length=len(PROFILES))
    priority: Priority = "normal"
    force: bool = False
    dry_run: bool = False


class Verify(Target):
    """Ask for a verification; ``deep`` rebuilds every layer."""

    deep: bool = False


class Reprocess(Body):
    """Ask for conversion in bulk; unset fields select everything."""

    registry: str | None = Field(default=None, max_length=63)
    repository: str = Field(default="*", max_length=255, examples=["team/*"])
    only: Reprocessed = "all"
    builder_below: str | None = Field(default=None, pattern=r"^\d{1,4}(\.\d{1,4}){0,3}$")
    since: float | None = Field(default=None, ge=0, le=1e11)
    profiles: tuple[ProfileChoice, ...] = Field(default=(), max_length=len(PROFILES))
    priority: Priority = "low"
    force: bool = True
    dry_run: bool = False


class Submitted(BaseModel):
    """An accepted request; jobs appear at ``location`` once the reference is resolved."""

    event: int
    location: str


class EventView(BaseModel):
    """What became of an accepted event."""

    event: int
    state: Literal["pending", "settled"]
    outcome: EventOutcome | None = None


class JobList(BaseModel):
    """One page; ``next`` is the cursor of the following one."""

    items: tuple[Job, ...]
    next: str | None = None


class JobView(BaseModel):
    """A job, its layer builds and what it does right now."""

    job: Job
    builds: tuple[LayerBuild, ...] = ()
    progress: dict[str, Any] | None = None


class BatchList(BaseModel):
    """One page."""

    items: tuple[Batch, ...]
    next: str | None = None


class ReprocessPlan(BaseModel):
    """Answer of a dry run."""

    images: int
    by_state: dict[str, int]


class DeadEvents(BaseModel):
    """Events whose attempts are used up."""

    items: tuple[IntakeRecord, ...]


class SweepsAsked(BaseModel):
    """Registries whose sweep is due now; it finds what is missing and queues it."""

    sweeps: tuple[str, ...]


class QueueView(BaseModel):
    """One lane: ``waiting`` units, age of the oldest in seconds, units being worked on."""

    lane: str
    waiting: int
    running: int
    oldest_age: float
    paused: bool
    by_registry: dict[str, int]


class QueuesView(BaseModel):
    """All lanes, the intake and what is paused."""

    lanes: tuple[QueueView, ...]
    paused_registries: tuple[str, ...]
    events_pending: int
    jobs: dict[str, int]


class ImageView(BaseModel):
    """What is known of and attached to one platform manifest."""

    registry: str
    repository: str
    digest: Digest
    jobs: tuple[Job, ...]
    referrers: tuple[Descriptor, ...]
    verification: VerificationRequest | None = None


class AuditPage(BaseModel):
    """One page of the audit trail."""

    items: tuple[AuditEntry, ...]
    next: str | None = None


class Whoami(BaseModel):
    """The caller as the service sees it."""

    name: str
    role: str
