"""The admin API as its callers meet it."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from app.jobs.pending import EventOutcome
from app.jobs.records import Failure, Job, JobKey
from app.jobs.state import JobState, Step
from app.jobs.store import Placing
from app.oci.digest import Digest
from tests.integration.admin.conftest import AdminStand

pytestmark = pytest.mark.real


def queued_job(stand: AdminStand, name: str, repository: str = "team/app") -> Job:
    digest = Digest.of(name.encode())
    wanted = JobKey(
        registry="local", repository=repository, digest=digest, profiles=("containerd-erofs",)
    )
    now = time.time()
    job = Job(
        id=wanted.id,
        registry="local",
        repository=repository,
        digest=digest,
        profiles=wanted.profiles,
        created=now,
        updated=now,
        submitted=now,
        builder_version="1.8.6",
    )
    return stand.engine.ledger.submit(job).job


def dead_job(stand: AdminStand, name: str) -> Job:
    job = queued_job(stand, name)

    def bury(found: Job) -> tuple[Job, Placing]:
        failure = Failure(code="worker-lost", message="gone")
        record = found.stepped(Step.BURY, time.time(), failure=failure, ended=time.time(), due=None)
        return record, Placing("none", strikes=-1)

    return stand.engine.ledger.store.update(job.id, bury)


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code
    assert {"type", "title", "detail", "instance", "code"} <= body.keys()
    return body


def test_callers_without_a_known_token_are_refused(stand: AdminStand) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}):
        response = httpx.get(f"{stand.url}/v1/jobs", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert problem(response)["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("read", "GET", "/v1/queues", 200),
        ("read", "POST", "/v1/queues/layer/pause", 403),
        ("operate", "POST", "/v1/queues/layer/pause", 202),
        ("operate", "POST", "/v1/queues/layer/resume", 202),
        ("operate", "POST", "/v1/dead-letters/j0/drop", 403),
        ("admin", "POST", "/v1/dead-letters/j0/drop", 404),
    ],
)
def test_roles_decide(stand: AdminStand, role: str, method: str, path: str, status: int) -> None:
    with stand.client(role) as client:
        assert client.request(method, path).status_code == status


def test_a_submission_is_accepted_and_can_be_followed(stand: AdminStand) -> None:
    with stand.client("operate") as client:
        response = client.post("/v1/jobs", json={"reference": "127.0.0.1:9/team/app:1.4"})
        assert response.status_code == 202, response.text
        location = response.headers["location"]
        assert client.get(location).json()["state"] == "pending"
        assert client.get("/v1/events/999999999").status_code == 404
        audit = client.get("/v1/audit").json()["items"]
    assert any(entry["action"] == "job.submit" and entry["actor"] == "operate" for entry in audit)


def test_an_idempotency_key_submits_once(stand: AdminStand) -> None:
    body = {"registry": "local", "repository": "team/app", "tag": "2"}
    with stand.client() as client:
        headers = {"Idempotency-Key": "k-1"}
        before = stand.engine.events.counts().accepted
        first = client.post("/v1/jobs", json=body, headers=headers)
        again = client.post("/v1/jobs", json=body, headers=headers)
        other = client.post("/v1/jobs", json={**body, "tag": "3"}, headers=headers)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert stand.engine.events.counts().accepted == before + 1
    assert problem(other)["code"] == "idempotency-key-reused"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"reference": "app:1"}, 422, "reference-invalid"),
        ({"reference": "elsewhere.example/app:1"}, 404, "registry-unknown"),
        ({"registry": "nowhere", "repository": "a", "tag": "1"}, 404, "registry-unknown"),
        ({"registry": "local", "repository": "a"}, 422, "request-invalid"),
        ({"registry": "local", "repository": "A B", "tag": "1"}, 422, "request-invalid"),
        ({}, 422, "request-invalid"),
        ({"reference": "127.0.0.1:9/a:1", "surprise": 1}, 422, "request-invalid"),
    ],
)
def test_what_cannot_be_submitted_says_why(
    stand: AdminStand, body: dict[str, Any], status: int, code: str
) -> None:
    with stand.client() as client:
        response = client.post("/v1/jobs", json=body)
    assert response.status_code == status
    assert problem(response)["code"] == code


def test_jobs_are_listed_in_pages_by_link(stand: AdminStand) -> None:
    made = {queued_job(stand, f"page {number}", "team/pages").id for number in range(7)}
    seen: list[str] = []
    with stand.client("read") as client:
        url = "/v1/jobs?registry=local&repository=team/pages&limit=3"
        while url:
            response = client.get(url)
            seen += [job["id"] for job in response.json()["items"]]
            link = response.links.get("next")
            url = link["url"] if link else ""
        assert client.get("/v1/jobs?repository=team/pages").status_code == 422
        assert client.get("/v1/jobs?cursor=nonsense!").status_code in (400, 422)
    assert sorted(seen) == sorted(made)


def test_a_job_is_shown_cancelled_and_retried(stand: AdminStand) -> None:
    job = queued_job(stand, "life")
    with stand.client() as client:
        assert client.get(f"/v1/jobs/{job.id}").json()["job"]["state"] == "queued"
        assert client.post(f"/v1/jobs/{job.id}/cancel").json()["state"] == "cancelled"
        assert client.post(f"/v1/jobs/{job.id}/retry").json()["state"] == "queued"
        assert problem(client.get("/v1/jobs/unknown"))["code"] == "job-unknown"


def test_a_job_is_followed_live(stand: AdminStand) -> None:
    job = queued_job(stand, "stream")
    states = []
    with stand.client() as client, client.stream("GET", f"/v1/jobs/{job.id}/stream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("data:"):
                states.append(json.loads(line[5:])["state"])
                if states == ["queued"]:
                    stand.engine.cancel(job.id)
    assert states == ["queued", "cancelled"]


def test_dead_letters_are_listed_requeued_and_dropped(stand: AdminStand) -> None:
    one, two = dead_job(stand, "dead one"), dead_job(stand, "dead two")
    with stand.client() as client:
        listed = {job["id"] for job in client.get("/v1/dead-letters").json()["items"]}
        assert {one.id, two.id} <= listed
        assert client.post(f"/v1/dead-letters/{one.id}/requeue").json()["state"] == "queued"
        assert client.post(f"/v1/dead-letters/{two.id}/drop").json()["state"] == "cancelled"
        assert problem(client.post(f"/v1/dead-letters/{one.id}/requeue"))["code"] == "not-dead"


def test_events_that_cannot_be_resolved_are_seen_and_requeued(stand: AdminStand) -> None:
    with stand.client() as client:
        body = {"registry": "local", "repository": "team/lost", "tag": "1"}
        number = client.post("/v1/jobs", json=body).json()["event"]
        claimed, _ = stand.engine.events.claim(1000)
        found = [event for event in claimed if event.record.id == number]
        stand.engine.events.settle([(event, EventOutcome(outcome="dead")) for event in found])
        listed = client.get("/v1/dead-letters/events").json()["items"]
        assert [event["id"] for event in listed] == [number]
        assert client.post(f"/v1/dead-letters/events/{number}/requeue").json() == {"items": []}
        assert client.post(f"/v1/dead-letters/events/{number}/requeue").status_code == 404


def test_bulk_reprocessing_is_counted_then_batched(stand: AdminStand) -> None:
    for number in range(3):
        queued_job(stand, f"bulk {number}", "team/bulk")
    body = {"registry": "local", "repository": "team/bu*"}
    with stand.client() as client:
        plan = client.post("/v1/reprocess", json={**body, "dry_run": True})
        assert plan.status_code == 200
        assert plan.json() == {"images": 3, "by_state": {"queued": 3}}
        batch = client.post("/v1/reprocess", json=body)
        location = batch.headers["location"]
        assert client.get(location).json()["batch"]["total"] == 3
        assert client.post(f"{location}/pause").json()["batch"]["state"] == "paused"
        assert client.post(f"{location}/resume").json()["batch"]["state"] == "running"
        assert client.post(f"{location}/cancel").json()["batch"]["state"] == "cancelled"
        assert client.get("/v1/batches").json()["items"]
        assert problem(client.get("/v1/batches/t0"))["code"] == "batch-unknown"


def test_missing_bundles_are_the_sweeps_work(stand: AdminStand) -> None:
    with stand.client() as client:
        response = client.post("/v1/reprocess", json={"registry": "local", "only": "missing"})
    assert response.json() == {"sweeps": ["local"]}
    assert stand.redis.smembers("{verilayer}:sweep:asked") == {"local"}


def test_registries_and_queues_are_paused_and_resumed(stand: AdminStand) -> None:
    with stand.client() as client:
        assert client.post("/v1/registries/local/pause").json()["paused_registries"] == ["local"]
        assert client.post("/v1/registries/local/resume").json()["paused_registries"] == []
        assert client.post("/v1/registries/nowhere/pause").status_code == 404
        lanes = {lane["lane"] for lane in client.get("/v1/queues").json()["lanes"]}
    assert lanes == {"image", "layer", "layer-large"}


def test_an_unreachable_registry_is_a_problem_not_a_crash(stand: AdminStand) -> None:
    digest = Digest.of(b"x")
    with stand.client() as client:
        response = client.get(f"/v1/images/local/team/app@{digest}")
        assert response.status_code == 503
        assert problem(response)["code"] == "registry-unavailable"
        assert problem(client.get("/v1/images/local/nonsense"))["code"] == "image-invalid"


def test_the_counts_by_state_are_those_of_the_ledger(stand: AdminStand) -> None:
    queued_job(stand, "counted")
    with stand.client("read") as client:
        jobs = client.get("/v1/queues").json()["jobs"]
    assert jobs["queued"] == stand.engine.ledger.counts()[JobState.QUEUED]
