"""The engine on a real Redis: leases, fences, caps, pauses, retries, dead letters, orphans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.errors import BrokerUnavailable, Cancelled
from app.jobs.audit import AuditTrail
from app.jobs.batches import Batches, BatchItem
from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.intake import IntakeOptions, RedisIntake, Source
from app.jobs.listing import CursorInvalid
from app.jobs.messages import Lane
from app.jobs.pending import EventOutcome
from app.jobs.pulse import Pulse
from app.jobs.reaper import Reaper
from app.jobs.records import (
    BuiltFacts,
    Failure,
    Job,
    JobKey,
    JobLayer,
    LayerBuild,
    build_id,
)
from app.jobs.schedule import Beat, Lease
from app.jobs.selection import Selector, item_of, select
from app.jobs.state import JobState
from app.jobs.store import LeaseLost
from app.jobs.timing import EngineTiming
from app.oci.digest import DiffID, Digest
from app.webhooks.events import PushEvent
from tests.support.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.real

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

    def claim(self, lane: Lane = "image") -> Lease:
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
        return LayerBuild(
            id=build_id("main", layer, DiffID(layer), "1.9.3", 512),
            registry="main",
            repository="team/app",
            created=now,
            updated=now,
            submitted=now,
            layer=layer,
            diff_id=DiffID(layer),
            size=10,
            media_type="application/vnd.oci.image.layer.v1.tar",
            builder_version="1.9.3",
            padding=512,
        )

    def round(self) -> None:
        self.engine.redis.delete("{verilayer}:reaper")
        assert Reaper(self.engine).round() is not None


FACTS = BuiltFacts(
    index_digest=Digest.of(b"index"),
    index_size=5,
    tree_digest=Digest.of(b"tree"),
    tree_size=4,
    root_hash="a" * 64,
    uuid="u",
    data_size=1,
    hash_offset=1,
    entries=1,
    tar_size=1,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def rig(server: RedisServer) -> Rig:
    redis = connect(server.url)
    redis.flushall()
    clock, queue = Clock(), Wakes()
    timing = EngineTiming(attempts=3, backoff=4.0)
    return Rig(JobEngine.over(redis, queue, timing, clock), clock, queue)


def layer_of(build: LayerBuild) -> JobLayer:
    return JobLayer(digest=build.layer, size=build.size, build=build.id)


def test_one_job_per_key_however_often_it_is_asked_for(rig: Rig) -> None:
    assert [rig.submit(rig.job()) for _ in range(3)] == ["created", "coalesced", "coalesced"]
    lease = rig.claim()
    rig.engine.ledger.begin(lease)
    assert rig.submit(rig.job()) == "coalesced"
    asked = rig.job()
    rig.clock.at += 1
    rig.engine.ledger.succeed(lease, [], [], {})
    assert rig.submit(asked) == "coalesced"
    rig.clock.at += 1
    assert rig.submit(rig.job()) == "requeued"
    assert rig.engine.schedule.claim("image", CAPS) is not None
    assert rig.engine.schedule.claim("image", CAPS) is None


def test_force_runs_a_finished_job_again(rig: Rig) -> None:
    lease = rig.running()
    rig.engine.ledger.succeed(lease, [], [], {})
    assert rig.submit(rig.job(force=True)) == "requeued"


def test_pushes_come_before_people_before_sweeps(rig: Rig) -> None:
    sources: tuple[Source, ...] = ("sweep", "manual", "push")
    for number, source in enumerate(sources):
        rig.submit(rig.job(number, source=source))
    order = [rig.claim().unit.split(" ")[1] for _ in range(3)]
    assert order == sorted(order)
    assert len(set(order)) == 3


def test_a_push_promotes_a_swept_job_that_waits(rig: Rig) -> None:
    rig.submit(rig.job(1, source="sweep"))
    rig.submit(rig.job(2, source="manual"))
    rig.submit(rig.job(1, source="push"))
    assert rig.claim().record_id == rig.job(1).id
    assert rig.claim().record_id == rig.job(2).id
    assert rig.engine.schedule.claim("image", CAPS) is None


def test_caps_per_registry_and_per_repository(rig: Rig) -> None:
    for number in range(4):
        rig.submit(rig.job(number, repository="a/one"))
    for number in range(4, 8):
        rig.submit(rig.job(number, repository="a/two"))
    caps = {"*": (3, 2)}
    held = [rig.engine.schedule.claim("image", caps) for _ in range(3)]
    assert all(held)
    repositories = [lease.unit.split(" ")[3] for lease in held if lease]
    assert sorted(repositories) == ["a/one", "a/one", "a/two"]
    assert rig.engine.schedule.claim("image", caps) is None
    first = held[0]
    assert first is not None
    rig.engine.ledger.begin(first)
    rig.engine.ledger.succeed(first, [], [], {})
    assert rig.engine.schedule.claim("image", caps) is not None


def test_registries_take_turns(rig: Rig) -> None:
    for number in range(3):
        rig.submit(rig.job(number, registry="busy"))
    rig.submit(rig.job(9, registry="quiet"))
    served = [rig.claim().unit.split(" ")[2] for _ in range(2)]
    assert sorted(served) == ["busy", "quiet"]


def test_a_paused_registry_or_lane_admits_nothing(rig: Rig) -> None:
    rig.submit(rig.job())
    assert rig.engine.schedule.pause("main")
    assert rig.engine.schedule.claim("image", CAPS) is None
    assert rig.engine.schedule.resume("main")
    rig.engine.schedule.pause_lane("image")
    assert rig.engine.schedule.claim("image", CAPS) is None
    assert rig.engine.schedule.paused() == (frozenset(), frozenset({"image"}))
    rig.engine.schedule.resume_lane("image")
    assert rig.engine.schedule.claim("image", CAPS) is not None


def test_a_retryable_failure_backs_off_then_ends_as_a_dead_letter(rig: Rig) -> None:
    rig.submit(rig.job())
    for attempt in (1, 2):
        lease = rig.claim()
        assert lease.attempts == attempt
        rig.engine.ledger.begin(lease)
        job = rig.engine.ledger.fail(lease, RETRYABLE)
        assert job.state is JobState.FAILED
        assert not job.finished
        assert job.due is not None
        assert rig.engine.schedule.claim("image", CAPS) is None
        rig.clock.at = job.due
    lease = rig.claim()
    rig.engine.ledger.begin(lease)
    job = rig.engine.ledger.fail(lease, RETRYABLE)
    assert job.state is JobState.DEAD
    assert rig.engine.ledger.listing(state=JobState.DEAD).items == (job,)
    assert rig.engine.ledger.retry(job.id).state is JobState.QUEUED
    assert rig.claim().attempts == 1


def test_retry_after_is_obeyed(rig: Rig) -> None:
    lease = rig.running()
    job = rig.engine.ledger.fail(lease, RETRYABLE, retry_after=500.0)
    assert job.due == rig.clock() + 500.0


def test_a_permanent_failure_is_not_tried_again(rig: Rig) -> None:
    lease = rig.running()
    job = rig.engine.ledger.fail(lease, PERMANENT)
    assert job.finished
    assert job.state is JobState.FAILED
    rig.clock.at += 10_000
    assert rig.engine.schedule.claim("image", CAPS) is None


def test_a_dead_letter_can_be_dropped(rig: Rig) -> None:
    lease = rig.running()
    rig.engine.ledger.bury(lease, PERMANENT)
    assert rig.engine.ledger.drop(lease.record_id).state is JobState.CANCELLED
    assert rig.engine.ledger.counts()[JobState.DEAD] == 0


def test_a_worker_that_lost_its_lease_changes_nothing(rig: Rig) -> None:
    zombie = rig.running()
    rig.clock.at += rig.engine.timing.lease + 1
    rig.round()
    assert rig.state(zombie) is JobState.FAILED
    rig.clock.at += 600
    second = rig.claim()
    assert second.attempts == 2
    rig.engine.ledger.begin(second)
    assert rig.engine.schedule.heartbeat(zombie) is Beat.LOST
    with pytest.raises(LeaseLost):
        rig.engine.ledger.succeed(zombie, [], [], {})
    with pytest.raises(LeaseLost):
        rig.engine.ledger.fail(zombie, PERMANENT)
    assert rig.state(second) is JobState.RUNNING
    rig.engine.ledger.succeed(second, [], [], {})
    assert rig.state(second) is JobState.SUCCEEDED


def test_a_poison_job_that_kills_every_worker_is_dead_after_n(rig: Rig) -> None:
    rig.submit(rig.job())
    for _ in range(3):
        rig.claim()  # dies before it could even say that it began
        rig.clock.at += rig.engine.timing.lease + 1
        rig.round()
        rig.clock.at += 600
    job = rig.engine.ledger.get(rig.job().id)
    assert job is not None
    assert job.state is JobState.DEAD
    assert job.failure is not None
    assert job.failure.code == "worker-lost"


def test_a_parked_job_wakes_with_its_last_layer(rig: Rig) -> None:
    lease = rig.running()
    builds = [rig.build(number) for number in range(2)]
    assert [rig.engine.builds.request(build)[1] for build in builds] == ["pending"] * 2
    assert rig.engine.builds.request(builds[0])[1] == "pending"
    job = rig.engine.ledger.park(lease, [layer_of(build) for build in builds])
    assert (job.state, job.phase) == (JobState.RUNNING, "layers")
    for _ in builds:
        assert rig.engine.schedule.claim("image", CAPS) is None
        layer = rig.claim("layer")
        rig.engine.builds.begin(layer)
        rig.engine.builds.succeed(layer, FACTS, {"total": 1.0})
    again = rig.claim()
    assert again.record_id == lease.record_id
    # Waiting for layers is not an attempt.
    assert again.attempts == 1
    assert [rig.engine.builds.request(build)[1] for build in builds] == ["built"] * 2


def test_a_failed_layer_wakes_its_jobs_too(rig: Rig) -> None:
    lease = rig.running()
    build = rig.build()
    rig.engine.builds.request(build)
    rig.engine.ledger.park(lease, [layer_of(build)])
    layer = rig.claim("layer")
    rig.engine.builds.begin(layer)
    rig.engine.builds.fail(layer, PERMANENT)
    rig.claim()
    assert rig.engine.builds.request(build)[1] == "failed"
    rig.clock.at += 1
    assert rig.engine.builds.request(rig.build())[1] == "pending"


def test_parking_on_layers_that_finished_meanwhile_does_not_hang(rig: Rig) -> None:
    lease = rig.running()
    build = rig.build()
    rig.engine.builds.request(build)
    layer = rig.claim("layer")
    rig.engine.builds.begin(layer)
    rig.engine.builds.succeed(layer, FACTS, {})
    rig.engine.ledger.park(lease, [layer_of(build)])
    assert rig.claim().record_id == lease.record_id


def test_a_vanished_queue_entry_is_found(rig: Rig) -> None:
    rig.submit(rig.job())
    rig.engine.redis.delete(f"{{verilayer}}:ready:image:{rig.job().unit.split()[1]}:main")
    assert rig.engine.schedule.claim("image", CAPS) is None
    rig.round()
    assert rig.engine.schedule.claim("image", CAPS) is None, "not before it is old enough"
    rig.clock.at += rig.engine.timing.orphan + 1
    rig.round()
    assert rig.claim().record_id == rig.job().id


def test_a_parked_job_whose_layers_vanished_is_found(rig: Rig) -> None:
    lease = rig.running()
    build = rig.build()
    rig.engine.builds.request(build)
    rig.engine.ledger.park(lease, [layer_of(build)])
    rig.engine.redis.delete(f"{{verilayer}}:build:{build.id}")
    rig.clock.at += rig.engine.timing.orphan + 1
    rig.round()
    assert rig.claim().record_id == lease.record_id


def test_cancelling(rig: Rig) -> None:
    rig.submit(rig.job(1))
    assert rig.engine.cancel(rig.job(1).id).state is JobState.CANCELLED
    assert rig.engine.schedule.claim("image", CAPS) is None
    lease = rig.running(2)
    assert rig.engine.cancel(lease.record_id).state is JobState.RUNNING
    with Pulse(rig.engine.schedule, lease, rig.engine.timing) as pulse:
        with pytest.raises(Cancelled):
            pulse.check()
        assert pulse.stopping()
        assert not pulse.lost
    assert rig.engine.ledger.cancelled(lease).state is JobState.CANCELLED
    assert rig.engine.redis.smembers("{verilayer}:cancelling") == set()
    with pytest.raises(KeyError):
        rig.engine.cancel("junknown")


def test_cancelling_stops_layers_that_nobody_else_waits_for(rig: Rig) -> None:
    own, shared = rig.build(1), rig.build(2)
    leases = [rig.running(number) for number in (1, 2)]
    for build in (own, shared):
        rig.engine.builds.request(build)
    rig.engine.ledger.park(leases[0], [layer_of(own), layer_of(shared)])
    rig.engine.ledger.park(leases[1], [layer_of(shared)])
    assert rig.engine.cancel(leases[0].record_id).state is JobState.CANCELLED
    left = rig.engine.builds.get(own.id)
    assert left is not None
    assert left.state is JobState.CANCELLED
    assert rig.claim("layer").record_id == shared.id
    assert rig.engine.schedule.claim("layer", CAPS) is None
    # Somebody may want it again at once: it has not failed.
    assert rig.engine.builds.request(own)[1] == "pending"


def test_wake_ups_are_bounded_and_replaced_when_lost(rig: Rig) -> None:
    for number in range(300):
        rig.submit(rig.job(number))
    rig.engine.wake_all()
    rig.engine.wake_all()
    assert rig.queue.sent == [("image", 256)]
    rig.claim()
    rig.engine.wake_all()
    assert rig.queue.sent == [("image", 256), ("image", 1)]
    rig.engine.wake_all(recount=True)
    assert rig.queue.sent[-1] == ("image", 256), "the broker holds none of them any more"


def test_listing_pages_through_everything_once(rig: Rig) -> None:
    for number in range(25):
        rig.clock.at += number % 3
        rig.submit(rig.job(number, repository=f"team/{number % 2}"))
    seen, cursor = [], None
    while True:
        page = rig.engine.ledger.listing(cursor=cursor, limit=4)
        seen += [job.id for job in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25
    page = rig.engine.ledger.listing(registry="main", repository="team/1", limit=100)
    assert len(page.items) == 12
    with pytest.raises(CursorInvalid):
        rig.engine.ledger.listing(cursor="!")


def test_old_records_are_purged_with_their_index_entries(rig: Rig) -> None:
    lease = rig.running()
    rig.engine.ledger.succeed(lease, [], [], {})
    rig.clock.at += rig.engine.timing.retention - 1
    rig.round()
    assert rig.engine.ledger.get(lease.record_id) is not None
    rig.clock.at += 10
    rig.round()
    assert rig.engine.ledger.get(lease.record_id) is None
    assert rig.engine.ledger.listing().items == ()
    assert rig.engine.ledger.listing(registry="main", repository="team/app").items == ()


def test_history_keeps_the_first_and_the_last_moments(rig: Rig) -> None:
    lease = rig.running()
    for _ in range(60):
        build = rig.build()
        rig.engine.builds.request(build)
        rig.engine.ledger.park(lease, [])
        lease = rig.claim()
        rig.engine.ledger.begin(lease)
    job = rig.engine.ledger.get(lease.record_id)
    assert job is not None
    assert len(job.history) == 24
    assert job.history[0].note == "attempt 1"


def test_every_event_has_one_outcome(rig: Rig) -> None:
    intake = RedisIntake(rig.engine.redis, rig.queue.drain_intake, now=rig.clock)
    events = [PushEvent(repository="team/app", tag=str(n), delivery_id=str(n)) for n in range(5)]
    receipt = intake.accept("main", "distribution", events)
    assert (receipt.accepted, receipt.duplicates, rig.queue.drains) == (5, 0, 1)
    again = intake.accept("main", "distribution", [*events, PushEvent(repository="x", tag="y")])
    assert (again.accepted, again.duplicates) == (1, 5)
    claimed, left = rig.engine.events.claim(4)
    assert (len(claimed), left) == (4, 2)
    outcome = EventOutcome(outcome="ignored", reason="no-rule")
    assert rig.engine.events.settle([(claimed[0], outcome)]) == 1
    assert rig.engine.events.settle([(claimed[0], outcome)]) == 0
    rig.clock.at += 61
    retried, _ = rig.engine.events.claim(10)
    assert len(retried) == 5
    assert sorted(event.attempts for event in retried) == [1, 1, 2, 2, 2]
    # The first worker comes back late: nothing is counted twice.
    assert rig.engine.events.settle([(event, outcome) for event in retried]) == 5
    assert rig.engine.events.settle([(event, outcome) for event in claimed]) == 0
    counts = rig.engine.events.counts()
    assert counts.accepted == sum(counts.settled.values()) == 6
    found = rig.engine.events.outcome(receipt.event_ids[0])
    assert found is not None
    assert (found.outcome, found.repository) == ("ignored", "team/app")


def test_an_event_can_be_put_off(rig: Rig) -> None:
    intake = RedisIntake(rig.engine.redis, rig.queue.drain_intake, now=rig.clock)
    intake.accept("main", "distribution", [PushEvent(repository="team/app", tag="1")])
    (event,), _ = rig.engine.events.claim(1)
    rig.engine.events.put_off(event, 100)
    rig.clock.at += 99
    assert rig.engine.events.claim(1) == ([], 0)
    rig.clock.at += 2
    assert len(rig.engine.events.claim(1)[0]) == 1


def test_an_intake_without_redis_takes_nothing(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        intake = RedisIntake(connect(server.url), lambda: None)
        server.stop()
        with pytest.raises(BrokerUnavailable):
            intake.accept("main", "distribution", [PushEvent(repository="a", tag="b")])


def test_a_batch_feeds_pauses_and_ends(rig: Rig) -> None:
    batches = Batches(rig.engine.redis, rig.clock)
    items = [
        BatchItem(registry="main", repository="team/app", digest=rig.job(number).digest)
        for number in range(3)
    ]
    batch = batches.create(items, IntakeOptions(source="manual"), actor="me", title="all")
    assert batches.pause(batch.id) is not None
    rig.round()
    assert rig.engine.events.counts().pending == 0
    batches.resume(batch.id)
    rig.round()
    claimed, _ = rig.engine.events.claim(10)
    assert {event.record.options.batch for event in claimed} == {batch.id}
    for number, event in enumerate(claimed):
        rig.submit(rig.job(number, source="manual", batch=batch.id))
        rig.engine.events.settle([(event, EventOutcome(outcome="jobs"))])
    rig.round()
    progress = batches.get(batch.id)
    assert progress is not None
    assert (progress.waiting, progress.resolving, progress.jobs) == (0, 0, {"queued": 3})
    for _ in range(3):
        lease = rig.claim()
        rig.engine.ledger.begin(lease)
        rig.engine.ledger.succeed(lease, [], [], {})
    rig.round()
    progress = batches.get(batch.id)
    assert progress is not None
    assert (progress.batch.state, progress.jobs) == ("done", {"succeeded": 3})
    assert [one.id for one in batches.listing()[0]] == [batch.id]


def test_cancelling_a_batch_cancels_its_jobs(rig: Rig) -> None:
    batches = Batches(rig.engine.redis, rig.clock)
    item = BatchItem(registry="main", repository="team/app", tag="1")
    batch = batches.create([item], IntakeOptions(source="sweep"))
    rig.submit(rig.job(1, batch=batch.id))
    rig.submit(rig.job(2))
    cancelled = batches.cancel(batch.id, rig.engine)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    states = [rig.engine.ledger.get(rig.job(number).id) for number in (1, 2)]
    assert [job.state for job in states if job] == [JobState.CANCELLED, JobState.QUEUED]


def test_selecting_failed_and_stale_jobs(rig: Rig) -> None:
    for number, version in enumerate(("1.8.6", "1.8.10", "1.9.3")):
        lease = rig.running(number)
        rig.engine.ledger.succeed(lease, [], [], {}, builder_version=version)
    failed = rig.running(5)
    rig.engine.ledger.fail(failed, PERMANENT)
    ledger = rig.engine.ledger
    old = select(ledger, Selector(only="stale", builder_below="1.9.3"))
    assert sorted(job.builder_version for job in old) == ["1.8.10", "1.8.6"]
    (job,) = select(ledger, Selector(only="failed", repository="team/*"))
    assert job.id == failed.record_id
    assert item_of(job).digest == job.digest
    assert list(select(ledger, Selector(repository="other/*"))) == []


def test_the_audit_trail_pages_backwards(rig: Rig) -> None:
    trail = AuditTrail(rig.engine.redis, rig.clock)
    for number in range(5):
        trail.record("me", "cancel", f"j{number}", {"why": number})
    page, cursor = trail.page(limit=3)
    rest, end = trail.page(cursor, limit=3)
    assert [entry.target for entry in [*page, *rest]] == ["j4", "j3", "j2", "j1", "j0"]
    assert end is None
    assert page[0].details == {"why": 4}


def test_changes_can_be_followed(rig: Rig) -> None:
    lease = rig.running()
    changes = rig.engine.ledger.changes("0")
    assert [change["state"] for change in changes] == ["queued", "running"]
    rig.engine.ledger.succeed(lease, [], [], {})
    (last,) = rig.engine.ledger.changes(changes[-1]["cursor"])
    assert (last["id"], last["state"]) == (lease.record_id, "succeeded")


def test_progress_is_shown_while_the_lease_is_held(rig: Rig) -> None:
    lease = rig.running()
    rig.engine.schedule.heartbeat(lease, {"phase": "planning"})
    assert rig.engine.schedule.progress(lease.record_id) == {"phase": "planning"}
    rig.engine.ledger.succeed(lease, [], [], {})
    assert rig.engine.schedule.progress(lease.record_id) is None
    assert rig.engine.schedule.running() == {}


def test_a_dead_event_can_be_given_to_the_intake_again(rig: Rig) -> None:
    intake = RedisIntake(rig.engine.redis, rig.queue.drain_intake, now=rig.clock)
    intake.accept("main", "distribution", [PushEvent(repository="team/app", tag="1")])
    (event,), _ = rig.engine.events.claim(1)
    rig.engine.events.settle([(event, EventOutcome(outcome="dead", reason="away"))])
    (dead,) = rig.engine.events.dead()
    assert dead.event.repository == "team/app"
    assert not rig.engine.events.requeue_dead(dead.id + 100)
    assert rig.engine.events.requeue_dead(dead.id)
    assert rig.engine.events.dead() == []
    (again,), _ = rig.engine.events.claim(1)
    assert again.record.id != dead.id
    assert again.record.event == dead.event
