"""What the ledger keeps of a job and of a layer build.

Pydantic, because the bytes come back from outside the process; frozen, because a change is a new
revision written by compare-and-swap. Times are seconds since the epoch, sizes bytes.
"""

from __future__ import annotations

import hashlib
from typing import Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
)

from app.catalog.vocabulary import PRIORITIES, SOURCES, LayerOutcome, Priority, Source
from app.facts import LayerFacts
from app.jobs.messages import Lane
from app.jobs.state import FINISHED, JobState, Step, next_state
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest

#: Entries of history that a record keeps; older ones are dropped, the first is kept.
HISTORY = 24


def level(source: Source, priority: Priority) -> int:
    """Rank of a unit in its lane's queue: 0 runs first, ``RANKS`` - 1 last."""
    return SOURCES.index(source) * len(PRIORITIES) + PRIORITIES.index(priority)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Failure(_Record):
    """Why a record failed, was skipped, cancelled or buried."""

    #: Stable: an error code of ``app.errors``, a skip reason, ``worker-lost``, ``cancelled``.
    code: str
    message: str = ""
    advice: str | None = None
    retryable: bool = False
    #: Small, for people: the entries that made a layer lossy, say.
    details: tuple[str, ...] = ()


class Moment(_Record):
    """One line of history."""

    at: float
    step: Step
    state: JobState
    note: str = ""


class WorkRecord(_Record):
    """What jobs and layer builds have in common."""

    id: str
    registry: str
    repository: str
    state: JobState = JobState.QUEUED
    #: What is going on inside ``running``: planning, layers, attach; or a layer's phase.
    phase: str = ""
    #: W3C trace context of what asked for it.
    traceparent: str | None = None
    attempts: int = 0
    source: Source = "push"
    priority: Priority = "normal"
    created: float
    updated: float
    #: When the present run was asked for, started, and ended.
    submitted: float
    started: float | None = None
    ended: float | None = None
    #: When a failed record is due again; None when it is finished.
    due: float | None = None
    failure: Failure | None = None
    #: The bulk batch that asked last, if any.
    batch: str | None = None
    #: Seconds by phase.
    timings: dict[str, float] = {}
    history: tuple[Moment, ...] = ()

    @property
    def finished(self) -> bool:
        """Nothing more will happen unless someone submits it again."""
        return self.state in FINISHED and self.due is None

    def stepped(self, step: Step, at: float, note: str = "", **changes: object) -> Self:
        """Return the record after ``step``; raises ``IllegalTransition``."""
        state = next_state(self.state, step)
        moment = Moment(at=at, step=step, state=state, note=note[:200])
        history = (*self.history, moment)
        if len(history) > HISTORY:
            history = (history[0], *history[-HISTORY + 1 :])
        update = {"state": state, "updated": at, "history": history, **changes}
        return self.model_copy(update=update)


class JobKey(_Record):
    """What makes a job the same job."""

    registry: str
    repository: str
    digest: Digest
    profiles: tuple[str, ...]

    @property
    def id(self) -> str:
        """Deterministic, short, safe in URLs."""
        text = " ".join((self.registry, self.repository, self.digest, *sorted(self.profiles)))
        return "j" + hashlib.sha256(text.encode()).hexdigest()[:24]


class JobLayer(_Record):
    """One layer of a job's image, lowest first; its build has the rest."""

    digest: Digest
    size: int
    build: str
    #: ``pending``, then how this job came by it.
    outcome: LayerOutcome = "pending"


class AttachedBundle(_Record):
    """One manifest that a job attached, or found attached."""

    profile: str
    digest: Digest
    artifact_type: str
    #: False when an identical one was there already.
    pushed: bool


class Job(WorkRecord):
    """One image manifest to convert."""

    digest: Digest
    profiles: tuple[str, ...]
    tag: str | None = None
    platform: str = ""
    #: Digest of the index that led here, if any.
    parent: Digest | None = None
    rule: str = ""
    signer: str | None = None
    force: bool = False
    dry_run: bool = False
    builder_version: str = ""
    #: When the registry's event arrived; push-to-attach latency counts from here.
    received: float | None = None
    layers: tuple[JobLayer, ...] = ()
    bundles: tuple[AttachedBundle, ...] = ()

    @property
    def unit(self) -> str:
        """How the schedule names it; see ``app.jobs.schedule``."""
        return unit_name(
            Lane.IMAGE, level(self.source, self.priority), self.registry, self.repository, self.id
        )

    @property
    def key(self) -> JobKey:
        """What identifies it."""
        return JobKey(
            registry=self.registry,
            repository=self.repository,
            digest=self.digest,
            profiles=self.profiles,
        )


class LayerBuild(WorkRecord):
    """One layer under one build key in one registry; ``repository`` is where its blobs are."""

    layer: Digest
    diff_id: DiffID
    size: int
    media_type: str
    builder_version: str
    padding: int
    lane: Lane = Lane.LAYER
    #: Repositories out of which it could not be read; another asker's may still have it.
    unread_in: tuple[str, ...] = ()
    #: None, too, where an older release recorded less than is known of a layer today.
    facts: LayerFacts | None = None

    @property
    def built(self) -> bool:
        """Whether it ended well, and what came of it is recorded."""
        return self.facts is not None and self.failure is None

    @property
    def outdated(self) -> bool:
        """Whether it ended well under a release that recorded too little of it."""
        return self.state is JobState.SUCCEEDED and self.facts is None

    @field_validator("facts", mode="wrap")
    @classmethod
    def _known(cls, value: object, handler: ValidatorFunctionWrapHandler) -> LayerFacts | None:
        # What was read cannot be made up from the record: the layer is built again.
        try:
            return cast(LayerFacts | None, handler(value))
        except ValidationError:
            return None

    @field_serializer("facts", mode="wrap")
    def _for_older(
        self, facts: LayerFacts | None, handler: SerializerFunctionWrapHandler
    ) -> object:
        # A worker of an older release takes a layer without these for one that lost nothing.
        if facts is None:
            return None
        return {**handler(facts), "warning_kinds": [each.kind for each in facts.warned]}

    @property
    def unit(self) -> str:
        """How the schedule names it."""
        return unit_name(
            self.lane, level(self.source, self.priority), self.registry, self.repository, self.id
        )


def build_id(
    registry: str, layer: Descriptor, diff_id: DiffID, builder_version: str, padding: int
) -> str:
    """Name a build key: what a root hash depends on, within a registry.

    All that is claimed of the layer (media type, size, diffID) is part of it, so that an image that
    lies about a layer fails alone.
    """
    claims = (layer.digest, layer.media_type, str(layer.size), diff_id)
    text = " ".join((registry, *claims, builder_version, "tar=i,aufs,T0", str(padding)))
    return "b" + hashlib.sha256(text.encode()).hexdigest()[:24]


def unit_name(lane: Lane, rank: int, registry: str, repository: str, record_id: str) -> str:
    """Spell a unit of work; the scripts read it back, so that a queue entry explains itself."""
    return f"{lane} {rank} {registry} {repository} {record_id}"
