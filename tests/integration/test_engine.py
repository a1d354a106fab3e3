"""The engine on a real Redis: leases, fences, caps, pauses, retries, dead letters, orphans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.catalog.vocabulary import Source
from app.errors import Cancelled
from app.jobs.messages import Lane
from app.jobs.schedule import Beat
from app.jobs.state import JobState
from app.jobs.store import LeaseLost, Placing
from tests.support.engine_rig import CAPS, FACTS, PERMANENT, RETRYABLE, Rig, layer_of, new_rig
from tests.support.redis_server import RedisServer, redis_server
from workers.engine.pulse import Pulse

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def rig(server: RedisServer) -> Rig:
    return new_rig(server)


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
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is not None
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None


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
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None


def test_caps_per_registry_and_per_repository(rig: Rig) -> None:
    for number in range(4):
        rig.submit(rig.job(number, repository="a/one"))
    for number in range(4, 8):
        rig.submit(rig.job(number, repository="a/two"))
    caps = {"*": (3, 2)}
    held = [rig.engine.schedule.claim(Lane.IMAGE, caps) for _ in range(3)]
    assert all(held)
    repositories = [lease.unit.split(" ")[3] for lease in held if lease]
    assert sorted(repositories) == ["a/one", "a/one", "a/two"]
    assert rig.engine.schedule.claim(Lane.IMAGE, caps) is None
    first = held[0]
    assert first is not None
    rig.engine.ledger.begin(first)
    rig.engine.ledger.succeed(first, [], [], {})
    assert rig.engine.schedule.claim(Lane.IMAGE, caps) is not None


def test_registries_take_turns(rig: Rig) -> None:
    for number in range(3):
        rig.submit(rig.job(number, registry="busy"))
    rig.submit(rig.job(9, registry="quiet"))
    served = [rig.claim().unit.split(" ")[2] for _ in range(2)]
    assert sorted(served) == ["busy", "quiet"]


def test_a_paused_registry_or_lane_admits_nothing(rig: Rig) -> None:
    rig.submit(rig.job())
    assert rig.engine.schedule.pause("main")
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None
    assert rig.engine.schedule.resume("main")
    rig.engine.schedule.pause_lane(Lane.IMAGE)
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None
    assert rig.engine.schedule.paused() == (frozenset(), frozenset({"image"}))
    rig.engine.schedule.resume_lane(Lane.IMAGE)
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is not None


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
        assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None
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
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None


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
        assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None
        layer = rig.claim(Lane.LAYER)
        rig.engine.builds.begin(layer)
        rig.engine.builds.succeed(layer, FACTS, {"total": 1.0})
    again = rig.claim()
    assert again.record_id == lease.record_id
    # Waiting for layers is not an attempt.
    assert again.attempts == 1
    assert [rig.engine.builds.request(build)[1] for build in builds] == ["built"] * 2


def test_what_an_older_release_built_is_built_again(rig: Rig) -> None:
    build = rig.build()
    rig.engine.builds.request(build)
    layer = rig.claim(Lane.LAYER)
    rig.engine.builds.begin(layer)
    done = rig.engine.builds.succeed(layer, FACTS, {"total": 1.0})
    assert rig.engine.builds.request(build) == (done, "built")
    found = rig.engine.builds.store.get(build.id)
    assert found is not None
    # An older worker's record, as a newer one reads it; it ended after it was asked for.
    older = found.record.model_copy(update={"facts": None})
    assert rig.engine.builds.store.write(older, found.revision, Placing("none"))
    again, status = rig.engine.builds.request(build)
    assert (status, again.state, again.failure) == ("pending", JobState.QUEUED, None)
    layer = rig.claim(Lane.LAYER)
    rig.engine.builds.begin(layer)
    rig.engine.builds.succeed(layer, FACTS, {"total": 1.0})
    assert rig.engine.builds.request(build)[1] == "built"


def test_a_failed_layer_wakes_its_jobs_too(rig: Rig) -> None:
    lease = rig.running()
    build = rig.build()
    rig.engine.builds.request(build)
    rig.engine.ledger.park(lease, [layer_of(build)])
    layer = rig.claim(Lane.LAYER)
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
    layer = rig.claim(Lane.LAYER)
    rig.engine.builds.begin(layer)
    rig.engine.builds.succeed(layer, FACTS, {})
    rig.engine.ledger.park(lease, [layer_of(build)])
    assert rig.claim().record_id == lease.record_id


def test_a_vanished_queue_entry_is_found(rig: Rig) -> None:
    rig.submit(rig.job())
    rig.engine.redis.delete(f"{{verilayer}}:ready:image:{rig.job().unit.split()[1]}:main")
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None
    rig.round()
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None, "not before it is old enough"
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
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None
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


def test_cancelling_what_failed_and_is_due_again(rig: Rig) -> None:
    lease = rig.running(1)
    assert rig.engine.ledger.fail(lease, RETRYABLE).due is not None
    cancelled = rig.engine.cancel(lease.record_id)
    assert (cancelled.state, cancelled.due) == (JobState.CANCELLED, None)
    rig.clock.at += 3600.0
    rig.round()
    assert rig.engine.schedule.claim(Lane.IMAGE, CAPS) is None
    assert rig.state(lease) is JobState.CANCELLED


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
    assert rig.claim(Lane.LAYER).record_id == shared.id
    assert rig.engine.schedule.claim(Lane.LAYER, CAPS) is None
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
