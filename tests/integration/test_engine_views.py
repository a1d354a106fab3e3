"""What people see of the engine on a real Redis: listings, events, batches, audit, changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import BrokerUnavailable
from app.jobs.audit import AuditTrail
from app.jobs.batches import Batches, BatchItem
from app.jobs.connection import connect
from app.jobs.intake import IntakeOptions, RedisIntake
from app.jobs.keys import key
from app.jobs.listing import CursorInvalid
from app.jobs.pending import EventOutcome
from app.jobs.push import PushEvent
from app.jobs.selection import Selector, item_of, select
from app.jobs.state import JobState
from tests.support.engine_rig import PERMANENT, Rig, new_rig
from tests.support.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def rig(server: RedisServer) -> Rig:
    return new_rig(server)


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
    stored = rig.engine.redis.lindex(key("batch", batch.id, "items"), 0)
    assert json.loads(str(stored)) == {
        "registry": "main", "repository": "team/app", "digest": items[0].digest,
    }  # fmt: skip
    assert batches.pause(batch.id) is not None
    rig.round()
    assert rig.engine.events.counts().pending == 0
    batches.resume(batch.id)
    rig.round()
    claimed, _ = rig.engine.events.claim(10)
    assert {event.record.options.batch for event in claimed} == {batch.id}
    assert {(event.record.registry, event.record.dialect) for event in claimed} == {
        ("main", "batch")
    }
    assert [event.record.event.digest for event in claimed] == [item.digest for item in items]
    assert len({event.record.event.delivery_id for event in claimed}) == 3
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
