"""The console as a browser without scripts sees it: sessions, forms, headers, pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from app.jobs.audit import AuditTrail
from app.jobs.batches import Batches
from app.jobs.intake import IntakeOptions
from app.jobs.selection import item_of
from app.jobs.state import JobState
from tests.integration.admin.conftest import TOKENS, AdminStand
from tests.integration.admin.test_admin_api import dead_job, queued_job

pytestmark = pytest.mark.real


def log_in(stand: AdminStand, role: str) -> httpx.Client:
    client = httpx.Client(base_url=stand.url, timeout=30)
    answer = client.post("/console/login", data={"token": TOKENS[role], "next": "/console/jobs"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/jobs")
    return client


@pytest.fixture
def operator(stand: AdminStand) -> Iterator[httpx.Client]:
    with closing(log_in(stand, "operate")) as client:
        yield client


def csrf(client: httpx.Client) -> dict[str, str]:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/console").text)
    assert found is not None
    return {"csrf": found[1]}


def test_pages_need_a_login_and_lead_back(stand: AdminStand) -> None:
    for path in ("/console", "/console/jobs?state=dead", "/console/jobs/j0/stream"):
        answer = httpx.get(stand.url + path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/login?next=%2Fconsole")
    with httpx.Client(base_url=stand.url, timeout=30) as client:
        wrong = client.post("/console/login", data={"token": "wrong"})
        assert wrong.status_code == 401
        assert not client.cookies
        away = client.post(
            "/console/login", data={"token": TOKENS["read"], "next": "//elsewhere.example/"}
        )
        assert away.headers["location"] == "/console"


def test_the_cookie_is_opaque_and_kept_from_scripts_and_other_sites(stand: AdminStand) -> None:
    answer = httpx.post(f"{stand.url}/console/login", data={"token": TOKENS["read"]})
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/console", "Max-Age=28800"} <= set(
        cookie.split("; ")
    )
    value = cookie.split(";")[0].partition("=")[2]
    stored = [str(name) for name in stand.redis.scan_iter("*console:session:*")]
    assert value not in " ".join(stored)
    name = "{verilayer}:console:session:" + hashlib.sha256(value.encode()).hexdigest()
    assert 28_700 < stand.redis.ttl(name) <= 28_800
    assert TOKENS["read"] not in str(stand.redis.get(name))
    secure = httpx.post(
        f"{stand.url}/console/login",
        data={"token": TOKENS["read"]},
        headers={"X-Forwarded-Proto": "https"},
    )
    assert "; Secure" in secure.headers["set-cookie"]


def test_every_answer_has_a_strict_policy(stand: AdminStand, operator: httpx.Client) -> None:
    paths = ("/console", "/console/login", "/console/jobs/j0", "/console/static/console.js")
    for path in paths:
        answer = operator.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<[^>]+\s(style|on\w+)=|<script>|https?://", answer.text), path
    assert operator.get("/console/jobs/j0").status_code == 404
    assert operator.get("/console/static/..%2froutes.py").status_code in (404, 405)
    assert operator.get("/console/jobs?cursor=%21").status_code == 422


def test_a_form_of_another_page_changes_nothing(stand: AdminStand, operator: httpx.Client) -> None:
    job = dead_job(stand, "console csrf")
    path = f"/console/dead/{job.id}/requeue"
    assert operator.post(path).status_code == 403
    assert operator.post(path, data={"csrf": "x"}).status_code == 403
    token = csrf(operator)
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "same-site"}):
        assert operator.post(path, data=token, headers=headers).status_code == 403
    with closing(log_in(stand, "operate")) as other:
        assert operator.post(path, data=csrf(other)).status_code == 403
    assert operator.post(path, content=b"a" * 20_000).status_code == 413
    assert stand.engine.ledger.get(job.id) == job
    assert operator.post(path, data=token).status_code == 303


def test_roles_decide_about_buttons(stand: AdminStand, operator: httpx.Client) -> None:
    job = dead_job(stand, "console roles")
    drop = f"/console/dead/{job.id}/drop"
    assert operator.post(drop, data=csrf(operator)).status_code == 403
    with closing(log_in(stand, "read")) as reader:
        assert "<button" not in reader.get("/console/dead").text.partition("<main")[2]
        refused = reader.post(f"/console/dead/{job.id}/requeue", data=csrf(reader))
        assert refused.status_code == 403
    with closing(log_in(stand, "admin")) as admin:
        assert admin.post(drop, data=csrf(admin)).status_code == 303
    found = stand.engine.ledger.get(job.id)
    assert found is not None
    assert found.state is JobState.CANCELLED
    entries, _ = AuditTrail(stand.redis).page()
    assert (entries[0].actor, entries[0].action, entries[0].target) == (
        "admin",
        "dead.drop",
        job.id,
    )


def test_buttons_do_what_the_api_does(stand: AdminStand, operator: httpx.Client) -> None:
    job = queued_job(stand, "console life", "team/<b>".replace("<b>", "console"))
    batches = Batches(stand.redis)
    batch = batches.create([item_of(job)], IntakeOptions(), actor="me", title="<script>x</script>")
    token = csrf(operator)
    for path, message in (
        (f"jobs/{job.id}/cancel", "cancelled"),
        (f"jobs/{job.id}/retry", "queued again"),
        (f"batches/{batch.id}/pause", "paused"),
        (f"batches/{batch.id}/resume", "goes on"),
        (f"batches/{batch.id}/cancel", "cancelled"),
        ("queues/layer/pause", "paused"),
        ("queues/layer/resume", "goes on"),
    ):
        answer = operator.post(f"/console/{path}", data=token, follow_redirects=True)
        assert answer.status_code == 200, path
        status = re.search(r'<p role="status" class="message">([^<]+)', answer.text)
        assert status is not None
        assert message in status[1]
    assert "&lt;script&gt;x" in operator.get("/console/batches").text
    for path in ("queues/nothing/pause", "jobs/j0/cancel", "batches/t0/pause", "jobs/j0/explode"):
        assert operator.post(f"/console/{path}", data=token).status_code == 404
    assert operator.post(f"/console/dead/{job.id}/requeue", data=token).status_code == 409


def test_jobs_are_filtered_and_paged(stand: AdminStand, operator: httpx.Client) -> None:
    made = {queued_job(stand, f"console page {n}", "team/console-pages").id for n in range(60)}
    seen: list[str] = []
    path = "/console/jobs?state=queued&registry=local&repository=team/console-pages"
    while path:
        text = operator.get(path).text
        seen += re.findall(r'href="/console/jobs/(j\w+)"', text)
        following = re.search(r'rel="next" href="(\?[^"]+)"', text)
        path = "/console/jobs" + following[1].replace("&amp;", "&") if following else ""
    assert sorted(seen) == sorted(made)
    assert operator.get("/console/jobs?repository=team/x").status_code == 422


def test_logging_out_ends_the_session(stand: AdminStand) -> None:
    with closing(log_in(stand, "read")) as client:
        cookie = client.cookies["verilayer_console"]
        client.post("/console/logout", data=csrf(client))
        again = client.get("/console", headers={"Cookie": f"verilayer_console={cookie}"})
        assert again.status_code == 303


def test_an_unreachable_registry_is_a_page_not_a_crash(operator: httpx.Client) -> None:
    answer = operator.get(f"/console/images/local/team/app@sha256:{'ab' * 32}")
    assert answer.status_code == 503
    assert "registry-unavailable" in answer.text
    assert operator.get("/console/images/local/nonsense").status_code == 422
