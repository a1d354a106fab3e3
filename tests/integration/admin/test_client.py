"""The Python client and the commands over it, against the running API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.admin.schemas import Reprocess, ReprocessPlan, SubmitJob
from app.errors import ServiceUnavailable, Unavailable
from app.jobs.batches import Batch
from app.jobs.state import JobState
from app.oci.digest import Digest
from tests.integration.admin.conftest import TOKENS, AdminStand
from tests.integration.admin.test_admin_api import dead_job, queued_job
from tests.support.http_files import serving
from tests.support.ports import free_port
from workers.cli.client import AdminClient, CallerRefused, RequestRefused
from workers.cli.commands import main

pytestmark = pytest.mark.real


def client_of(stand: AdminStand, role: str = "admin") -> AdminClient:
    return AdminClient(stand.url, TOKENS[role])


def run(stand: AdminStand, *arguments: str, role: str = "admin") -> Result:
    environment = {"VERILAYER_URL": stand.url, "VERILAYER_TOKEN": TOKENS[role]}
    return CliRunner().invoke(main, arguments, env=environment)


def test_pages_are_walked_and_records_are_typed(stand: AdminStand) -> None:
    made = {queued_job(stand, f"walk {n}", "team/walk").id for n in range(205)}
    with client_of(stand, "read") as client:
        found = list(client.jobs(registry="local", repository="team/walk"))
        assert {job.id for job in found} == made
        assert client.job(found[0].id).job.state is JobState.QUEUED
        assert client.whoami().role == "read"
        assert client.queues().jobs["queued"] >= 205


def test_refusals_come_back_as_errors_with_their_code(stand: AdminStand) -> None:
    with client_of(stand, "read") as client:
        with pytest.raises(RequestRefused) as unknown:
            client.job("j0")
        assert (unknown.value.code, unknown.value.status) == ("job-unknown", 404)
        with pytest.raises(CallerRefused) as role:
            client.drop("j0")
        assert role.value.code == "role-insufficient"
        with pytest.raises(Unavailable) as registry:
            client.image("local", "team/app", Digest.of(b"x"))
        assert registry.value.code == "registry-unavailable"
    with AdminClient(stand.url, "wrong") as client, pytest.raises(CallerRefused) as caller:
        client.whoami()
    assert caller.value.code == "unauthenticated"
    nobody = f"http://127.0.0.1:{free_port()}"
    with AdminClient(nobody, "x") as client, pytest.raises(ServiceUnavailable, match=nobody):
        client.whoami()


def test_wishes_are_sent_as_they_are_meant(stand: AdminStand) -> None:
    queued_job(stand, "client bulk", "team/client")
    wanted = Reprocess(registry="local", repository="team/client")
    with client_of(stand, "operate") as client:
        accepted = client.submit(SubmitJob(reference="127.0.0.1:9/team/app:7", force=True))
        assert client.event(accepted.event).state == "pending"
        plan = client.reprocess(wanted.model_copy(update={"dry_run": True}))
        assert plan == ReprocessPlan(images=1, by_state={"queued": 1})
        batch = client.reprocess(wanted.model_copy(update={"force": False}))
        assert isinstance(batch, Batch)
        assert batch.options.force is False
        assert client.pause_batch(batch.id).batch.state == "paused"
        assert client.resume_batch(batch.id).batch.state == "running"
        assert client.cancel_batch(batch.id).batch.state == "cancelled"
        assert batch.id in {one.id for one in client.batches()}
        actions = [entry.action for entry in client.audit() if entry.target == batch.id]
    assert actions == ["batch.cancel", "batch.resume", "batch.pause"]


def test_a_job_is_watched_to_its_end(stand: AdminStand) -> None:
    job = queued_job(stand, "watched")
    states = []
    with client_of(stand) as client:
        for name, document in client.watch(job.id):
            assert name == "job"
            states.append(document["state"])
            stand.engine.cancel(job.id)
    assert states == ["queued", "cancelled"]


def test_a_login_page_in_place_of_a_stream_is_no_empty_stream() -> None:
    with serving() as files, AdminClient(files.url, "x") as client:
        files.files["/v1/jobs/j1/stream"] = (200, b"<html>please log in</html>")
        with pytest.raises(ServiceUnavailable, match="text/event-stream"):
            list(client.watch("j1"))


def test_jobs_commands(stand: AdminStand) -> None:
    job = queued_job(stand, "commanded", "team/commanded")
    listed = run(stand, "jobs", "list", "--registry", "local", "--repository", job.repository)
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.startswith(f"{job.id}  queued")
    shown = run(stand, "jobs", "show", job.id, "--json")
    assert json.loads(shown.stdout)["job"]["id"] == job.id
    assert "queued" in run(stand, "jobs", "show", job.id).stdout
    assert json.loads(run(stand, "jobs", "cancel", job.id, "--json").stdout)["state"] == "cancelled"
    assert "queued" in run(stand, "jobs", "retry", job.id).stdout
    sent = run(stand, "jobs", "submit", "127.0.0.1:9/team/app:9", "--json")
    assert json.loads(sent.stdout)["event"] > 0
    timer = threading.Timer(1.0, stand.engine.cancel, [job.id])
    timer.start()
    watched = run(stand, "jobs", "watch", job.id)
    timer.join()
    assert watched.exit_code == 1
    assert watched.stdout.splitlines()[-1].endswith("cancelled")


def test_dead_commands(stand: AdminStand) -> None:
    one, two = dead_job(stand, "command dead 1"), dead_job(stand, "command dead 2")
    listed = run(stand, "dead", "list", "--json", "--limit", "500").stdout
    assert {one.id, two.id} <= {json.loads(line)["id"] for line in listed.splitlines()}
    assert "queued" in run(stand, "dead", "requeue", one.id).stdout
    again = run(stand, "dead", "requeue", one.id, two.id)
    assert again.exit_code == 1
    assert "[not-dead]" in again.stderr
    assert two.id in again.stdout
    refused = run(stand, "dead", "drop", dead_job(stand, "kept").id, role="operate")
    assert refused.exit_code == 2
    assert "[role-insufficient]" in refused.stderr
    assert "cancelled" in run(stand, "dead", "drop", dead_job(stand, "dropped").id).stdout
    assert run(stand, "dead", "requeue").exit_code == 2


def test_batches_commands(stand: AdminStand) -> None:
    queued_job(stand, "command bulk", "team/command-bulk")
    wanted = ("batches", "reprocess", "--registry", "local", "--repository", "team/command-*")
    assert run(stand, *wanted, "--dry-run").stdout.startswith("1 images: 1 queued")
    batch = json.loads(run(stand, *wanted, "--json").stdout)["id"]
    assert "paused" in run(stand, "batches", "pause", batch).stdout
    assert "running" in run(stand, "batches", "resume", batch).stdout
    assert "cancelled" in run(stand, "batches", "cancel", batch).stdout
    shown = json.loads(run(stand, "batches", "show", batch, "--json").stdout)
    assert shown["batch"]["state"] == "cancelled"
    assert batch in run(stand, "batches", "list").stdout
    unknown = run(stand, "batches", "show", "t0")
    assert (unknown.exit_code, "[batch-unknown]" in unknown.stderr) == (1, True)
    assert run(stand, "batches", "reprocess", "--builder-below", "new").exit_code == 2


def test_the_token_comes_from_a_file_and_its_lack_is_told(
    stand: AdminStand, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKENS["read"] + "\n")
    command = [sys.executable, "-m", "workers", "dead", "list", "--url", stand.url]
    environment = {name: value for name, value in os.environ.items() if name != "VERILAYER_TOKEN"}
    for more, status in ((["--token-file", str(file)], 0), ([], 2)):
        done = subprocess.run(
            [*command, *more], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
    assert "VERILAYER_TOKEN" in done.stderr
    assert run(stand, "jobs", "list", "--url", f"http://127.0.0.1:{free_port()}").exit_code == 4
