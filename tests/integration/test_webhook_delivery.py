"""Deliveries over HTTP to the real web process, with a real Redis behind it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.redis_server import RedisServer, redis_server
from tests.support.webhook_service import (
    HEADER,
    SECRET,
    WebhookService,
    pending_events,
    webhook_service,
)

pytestmark = pytest.mark.real

ADMIN_TOKEN = "an-admin-token"
CONFIG = f"""
registries:
  - id: main
    url: http://127.0.0.1:5000
    actor: verilayer-robot
    webhook: {{dialect: distribution, header: {HEADER}, secrets: [{{value: {SECRET}}}]}}
  - id: hub
    url: https://registry-1.docker.io
    host: docker.io
    webhook: {{dialect: gitlab, auth: path, secrets: [{{env: HUB_TOKEN}}]}}
rules:
  - name: everything
admin:
  tokens: [{{name: test, sha256: {hashlib.sha256(ADMIN_TOKEN.encode()).hexdigest()}}}]
"""
HUB_TOKEN = "path-token-0123456789"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def envelope(*events: dict[str, object]) -> bytes:
    return json.dumps({"events": list(events)}).encode()


def push(event_id: str, **target: object) -> dict[str, object]:
    digest = "sha256:" + event_id.encode().hex().ljust(64, "0")[:64]
    named = {"mediaType": MANIFEST, "digest": digest, "repository": "team/app", "tag": "1.4"}
    return {"id": event_id, "action": "push", "target": named | target}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def service(
    server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebhookService]:
    directory = tmp_path_factory.mktemp("api")
    with webhook_service(directory, CONFIG, server, {"HUB_TOKEN": HUB_TOKEN}) as running:
        yield running


@pytest.fixture
def post(service: WebhookService) -> Iterator[Callable[..., httpx.Response]]:
    with httpx.Client(base_url=service.url, follow_redirects=False, timeout=20) as client:

        def send(
            body: bytes, path: str = "/webhooks/main", secret: str | None = SECRET
        ) -> httpx.Response:
            return client.post(path, content=body, headers={HEADER: secret} if secret else {})

        yield send


def test_accepted_event_is_in_redis_when_202_arrives(
    post: Callable[..., httpx.Response], server: RedisServer
) -> None:
    before = len(pending_events(server))
    answer = post(envelope(push("accepted-1"), {"id": "p", "action": "pull", "target": {}}))
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 1, "duplicates": 0, "ignored": {"action": 1}}
    (record,) = pending_events(server)[before:]
    assert record["registry"] == "main"
    assert record["event"]["repository"] == "team/app"  # type: ignore[index]
    assert post(envelope(push("accepted-1"))).json()["duplicates"] == 1


@pytest.mark.parametrize("path", ["/webhooks/main", "/webhooks/main/"])
def test_slash_at_the_end_is_no_redirect(path: str, post: Callable[..., httpx.Response]) -> None:
    assert post(envelope(push("slash" + path)), path).status_code == 202


@pytest.mark.parametrize(
    "secret", [None, "", "wrong", SECRET + "x", SECRET[:-1], "Bearer " + SECRET]
)
def test_wrong_secret_is_refused_and_nothing_is_stored(
    secret: str | None, post: Callable[..., httpx.Response], server: RedisServer
) -> None:
    before = len(pending_events(server))
    answer = post(envelope(push("refused")), secret=secret)
    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert len(pending_events(server)) == before


def test_our_own_pushes_are_dropped(post: Callable[..., httpx.Response]) -> None:
    own = push("own") | {"actor": {"name": "verilayer-robot"}}
    referrer = push("tag", tag="sha256-" + "a" * 64)
    artifact = push("artifact", artifactType="application/vnd.containerd.erofs.dmverity.v1")
    answer = post(envelope(own, referrer, artifact)).json()
    assert answer["accepted"] == 0
    assert answer["ignored"] == {"own-actor": 1, "derived-tag": 1, "artifact": 1}


def test_unknown_endpoint_and_bad_body(post: Callable[..., httpx.Response]) -> None:
    assert post(b"{}", "/webhooks/nobody").status_code == 404
    answer = post(b"not json")
    assert answer.status_code == 400
    assert answer.json()["code"] == "payload-invalid"


def test_large_body_is_refused_while_it_streams(service: WebhookService) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    answer = httpx.post(
        f"{service.url}/webhooks/main", content=endless(), headers={HEADER: SECRET}, timeout=20
    )
    assert answer.status_code == 413


def test_declared_large_body_is_refused_before_it_is_sent(service: WebhookService) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(
            b"POST /webhooks/main HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 413")


def test_path_token_works_and_is_not_in_the_log(
    post: Callable[..., httpx.Response], service: WebhookService
) -> None:
    assert post(envelope(push("hub-1")), f"/webhooks/hub/{HUB_TOKEN}").status_code == 202
    assert post(envelope(push("hub-2")), f"/webhooks/hub/{HUB_TOKEN}/").status_code == 202
    assert post(envelope(push("hub-3")), "/webhooks/hub").status_code == 401
    refused = post(envelope(push("hub-4")), "/webhooks/hub/" + "guess" * 4)
    assert refused.status_code == 401
    assert "guessguess" not in refused.text
    log = service.log.read_text()
    assert "/webhooks/hub/[redacted]" in log
    assert HUB_TOKEN not in log
    assert "guessguess" not in log


def test_the_rules_question_needs_a_token(service: WebhookService) -> None:
    url = f"{service.url}/v1/rules/test"
    question = {"registry": "main", "repository": "team/app", "tag": "1.4"}
    assert httpx.post(url, json=question).status_code == 401
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    assert httpx.post(url, json=question, headers=headers).json()["rule"] == "everything"


def test_schema_and_health(service: WebhookService) -> None:
    schema = httpx.get(f"{service.url}/config.schema.json").json()
    assert "registries" in schema["properties"]
    assert httpx.get(f"{service.url}/readyz").json()["redis"] == "ok"
    metrics = httpx.get(f"{service.url}/metrics").text
    assert "verilayer_webhook_deliveries_total" in metrics


def test_broker_away_is_503_with_retry_after(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as own,
        webhook_service(tmp_path, CONFIG, own, {"HUB_TOKEN": HUB_TOKEN}) as api,
    ):
        url, headers = f"{api.url}/webhooks/main", {HEADER: SECRET}
        body = envelope(push("lost"))
        own.stop()
        answer = httpx.post(url, content=body, headers=headers, timeout=20)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert httpx.get(f"{api.url}/readyz", timeout=20).status_code == 503
        own.start()
        assert httpx.post(url, content=body, headers=headers, timeout=20).status_code == 202
        assert [record["event"]["delivery_id"] for record in pending_events(own)] == [  # type: ignore[index]
            "lost"
        ]


def test_reload_by_signal_keeps_the_old_file_when_the_new_one_is_bad(
    tmp_path: Path, server: RedisServer
) -> None:
    with webhook_service(tmp_path, CONFIG, server, {"HUB_TOKEN": HUB_TOKEN}) as api:

        def status(secret: str) -> int:
            return httpx.post(
                f"{api.url}/webhooks/main", content=envelope(), headers={HEADER: secret}
            ).status_code

        def reload(text: str, state: str) -> None:
            api.config.write_text(text)
            os.kill(api.process.pid, signal.SIGHUP)
            deadline = time.monotonic() + 20
            while httpx.get(f"{api.url}/readyz").json()["configuration"] != state:
                assert time.monotonic() < deadline
                time.sleep(0.05)

        reload(CONFIG.replace("dialect: distribution", "dialect: nonsense"), "rejected")
        assert "verilayer.yaml:6:" in api.log.read_text()
        assert status(SECRET) == 202
        reload(CONFIG.replace(SECRET, "another-secret-1"), "ok")
        assert (status(SECRET), status("another-secret-1")) == (401, 202)
