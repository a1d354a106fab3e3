"""An engine over a real Redis whose time and wake-ups a test controls."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.catalog.vocabulary import Source
from app.facts import LayerFacts
from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.messages import Lane
from app.jobs.records import (
    Failure,
    Job,
    JobKey,
    JobLayer,
    LayerBuild,
    build_id,
)
from app.jobs.schedule import Lease
from app.jobs.state import JobState
from app.jobs.timing import EngineTiming
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from tests.support.redis_server import RedisServer
from workers.engine.reaper import Reaper

CAPS = {"*": (100, 100)}
RETRYABLE = Failure(code="registry-unavailable", message="away", retryable=True)
PERMANENT = Failure(code="source-invalid", message="broken")


@dataclass
class Wakes:
    """A queue that counts what it is asked for."""

    drains: int = 0
    sent: list[tuple[Lane, int]] = field(default_factory=list)

    def drain_intake(self) -> None:
        self.drains += 1

    def run_next(self, lane: Lane, count: int = 1) -> None:
        self.sent.append((lane, count))

    def verify(self, verification: str) -> None:
        """Nobody verifies."""

    def waiting(self, lane: Lane) -> int:
        return 0


@dataclass
class Clock:
    """Time that tests move."""

    at: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Rig:
    engine: JobEngine
    clock: Clock
    queue: Wakes

    def job(
        self,
        number: int = 0,
        *,
        repository: str = "team/app",
        registry: str = "main",
        source: Source = "push",
        force: bool = False,
        batch: str | None = None,
    ) -> Job:
        digest = Digest.of(f"image {number}".encode())
        profiles = ("containerd-erofs",)
        key = JobKey(registry=registry, repository=repository, digest=digest, profiles=profiles)
        now = self.clock()
        return Job(
            id=key.id,
            registry=registry,
            repository=repository,
            digest=digest,
            profiles=profiles,
            source=source,
            force=force,
            batch=batch,
            created=now,
            updated=now,
            submitted=now,
        )

    def submit(self, job: Job) -> str:
        return self.engine.ledger.submit(job).outcome

    def claim(self, lane: Lane = Lane.IMAGE) -> Lease:
        lease = self.engine.schedule.claim(lane, CAPS)
        assert lease is not None
        return lease

    def running(self, number: int = 0) -> Lease:
        self.submit(self.job(number))
        lease = self.claim()
        self.engine.ledger.begin(lease)
        return lease

    def state(self, lease: Lease) -> JobState:
        job = self.engine.ledger.get(lease.record_id)
        assert job is not None
        return job.state

    def build(self, number: int = 0) -> LayerBuild:
        layer = Digest.of(f"layer {number}".encode())
        now = self.clock()
        media_type = "application/vnd.oci.image.layer.v1.tar"
        descriptor = Descriptor(media_type=media_type, digest=layer, size=10)
        return LayerBuild(
            id=build_id("main", descriptor, DiffID(layer), "1.9.3", 512),
            registry="main",
            repository="team/app",
            created=now,
            updated=now,
            submitted=now,
            layer=layer,
            diff_id=DiffID(layer),
            size=10,
            media_type=media_type,
            builder_version="1.9.3",
            padding=512,
        )

    def round(self) -> None:
        self.engine.redis.delete("{verilayer}:reaper")
        assert Reaper(self.engine).round() is not None


FACTS = LayerFacts(
    layer_digest=Digest.of(b"layer"),
    layer_size=10,
    diff_id=DiffID(Digest.of(b"tar")),
    tar_size=1,
    builder_version="1.9.3",
    padding=512,
    uuid="u",
    index_digest=Digest.of(b"index"),
    index_size=5,
    tree_digest=Digest.of(b"tree"),
    tree_size=4,
    root_hash="a" * 64,
    data_size=1,
    hash_offset=1,
    entries=1,
    warnings=(),
    warned=(),
)


def layer_of(build: LayerBuild) -> JobLayer:
    return JobLayer(digest=build.layer, size=build.size, build=build.id)


def new_rig(server: RedisServer) -> Rig:
    """An empty engine."""
    redis = connect(server.url)
    redis.flushall()
    clock, queue = Clock(), Wakes()
    timing = EngineTiming(attempts=3, backoff=4.0)
    return Rig(JobEngine.over(redis, queue, timing, clock), clock, queue)
