"""``verilayer up`` as a person runs it: start, use, break, stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.service import Service, command, running_service, wait_until
from tests.support.tools import ROOT
from workers.cli.client import AdminClient
from workers.supervisor.first_start import SECRET_HEADER

pytestmark = [pytest.mark.real, pytest.mark.slow]

EVENT = {
    "events": [
        {
            "id": "e-1",
            "timestamp": "2026-01-02T03:04:05Z",
            "action": "push",
            "target": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": "sha256:" + "ab" * 32,
                "size": 702,
                "repository": "team/app",
                "tag": "1",
            },
        }
    ]
}


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def deliver(service: Service, secret: str) -> int:
    request = urllib.request.Request(
        f"{service.url}/webhooks/local",
        data=json.dumps(EVENT).encode(),
        headers={
            "Content-Type": "application/vnd.docker.distribution.events.v2+json",
            SECRET_HEADER: secret,
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def test_one_command_serves_recovers_and_stops(tmp_path: Path) -> None:
    with running_service(tmp_path / "one") as service:
        assert service.facts["wrote_config"] is True
        assert get(f"{service.url}/healthz")[0] == 200
        assert get(f"{service.url}/readyz")[0] == 200
        assert deliver(service, "wrong") == 401
        assert deliver(service, service.secret) == 202
        token = Path(service.facts["admin_token_file"]).read_text()
        with AdminClient(service.url, token) as client:
            assert client.whoami().role == "admin"
        status, text = get(f"{service.url}/metrics")
        assert status == 200
        delivered = (
            b'verilayer_webhook_deliveries_total{dialect="distribution",outcome="accepted"} 1.0'
        )
        assert delivered in text

        worker = service.facts["processes"]["worker"]
        os.kill(worker, signal.SIGKILL)
        heartbeat = tmp_path / "one" / "state" / "worker-heartbeat"
        wait_until(lambda: "ready again" in service.log, 120, "the worker was not restarted")
        assert heartbeat.exists()
        assert get(f"{service.url}/readyz")[0] == 200

        started = service.processes()
        assert service.stop(signal.SIGINT) == 0, service.log
        assert not [one for one in started if one.is_running() and one.status() != "zombie"]
    assert "Traceback" not in service.log
    assert "EPHEMERAL key" in service.log

    # The next start keeps configuration, secret and data.
    before = (tmp_path / "one" / "state" / "webhook-secret").read_text()
    with running_service(tmp_path / "one") as again:
        assert again.facts["wrote_config"] is False
        assert again.secret == before
        assert again.stop(signal.SIGTERM) == 0


def test_nothing_survives_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with running_service(tmp_path / "killed") as service:
        started = service.processes()
        service.process.kill()
        service.process.wait()
        _, alive = psutil.wait_procs(started, timeout=60)
        assert alive == []


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            command(tmp_path, taken.getsockname()[1]),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 2
    assert "api exited at start" in done.stderr


def test_a_wrong_configuration_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "verilayer.yaml").write_text("version: 1\nregistrys: []\n")
    done = subprocess.run(
        command(tmp_path, free_port()),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 2
    assert "verilayer.yaml:2:1" in done.stderr
    assert "registrys" in done.stderr
