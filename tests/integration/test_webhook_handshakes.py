"""Handshakes of senders that make sure we want their events: Event Grid and SNS, over HTTP."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from app.main import create_app
from app.settings import Settings
from app.webhooks import routes
from app.webhooks.fetch import fetch
from tests.support.http_files import FileServer, serving
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, redis_server
from tests.support.sns_messages import CERTIFICATE_PATH, TOPIC, certificate, message
from tests.support.webhook_cases import CASES
from tests.support.webhook_service import pending_events

pytestmark = pytest.mark.real

CONFIG = f"""
registries:
  - id: azure
    url: https://reg.azurecr.io
    webhook: {{dialect: acr-eventgrid, auth: path, secrets: [{{value: event-grid-token}}]}}
  - id: aws
    url: https://111122223333.dkr.ecr.eu-west-1.amazonaws.com
    webhook: {{dialect: ecr-sns, auth: sns, topics: ["{TOPIC}"]}}
rules: [{{name: all}}]
"""
GRID = "/webhooks/azure/event-grid-token"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def amazon() -> Iterator[FileServer]:
    with serving() as files:
        files.files[CERTIFICATE_PATH] = (200, certificate())
        files.files["/"] = (200, b"<ConfirmSubscriptionResponse/>")
        yield files


@pytest.fixture
def client(redis: RedisServer, amazon: FileServer, tmp_path: Path) -> Iterator[httpx.Client]:
    def outside(url: str) -> bytes:
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", "sns.eu-west-1.amazonaws.com")
        return fetch(amazon.url + parts.path)

    config = tmp_path / "verilayer.yaml"
    config.write_text(CONFIG)
    settings = Settings.model_validate(
        {"config_file": config, "redis_url": redis.url, "state_dir": tmp_path / "state"}
    )
    with application(settings, outside) as url, httpx.Client(base_url=url, timeout=20) as made:
        yield made


@contextmanager
def application(settings: Settings, outside: Callable[[str], bytes]) -> Iterator[str]:
    """Serve the application from a thread, with ``outside`` as its only way out."""
    port = free_port()
    app = create_app(settings, outside=outside)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, proxy_headers=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def grid_event(kind: str, **data: object) -> list[dict[str, object]]:
    return [{"id": "1", "eventType": kind, "data": data, "subject": "", "eventTime": ""}]


def test_event_grid_gets_its_code_back_and_then_delivers(
    client: httpx.Client, redis: RedisServer
) -> None:
    validation = grid_event(
        "Microsoft.EventGrid.SubscriptionValidationEvent",
        validationCode="512d38b6",
        validationUrl="https://evil.example/",
    )
    headers = {"aeg-event-type": "SubscriptionValidation"}
    answer = client.post(GRID, json=validation, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "512d38b6"})
    assert client.post("/webhooks/azure", json=validation, headers=headers).status_code == 401
    (case,) = (c for c in CASES if (c.dialect, c.name) == ("acr-eventgrid", "list of two"))
    assert client.post(GRID, content=case.delivery.body).json()["accepted"] == 1
    assert len(pending_events(redis)) == 1


def test_event_grid_may_deliver_cloud_events(client: httpx.Client) -> None:
    origin = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    answer = client.options(GRID, headers=origin)
    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "eventgrid.azure.net"
    other = client.options(GRID, headers={"WebHook-Request-Origin": "evil.example"})
    assert (other.status_code, "webhook-allowed-origin" in other.headers) == (405, False)
    assert client.options("/webhooks/aws", headers=origin).status_code == 405
    assert client.options("/webhooks/nobody", headers=origin).status_code == 405


def test_sns_subscription_is_confirmed_and_then_delivers(
    client: httpx.Client, redis: RedisServer, amazon: FileServer
) -> None:
    subscription = message(
        Type="SubscriptionConfirmation",
        Token="t",
        SubscribeURL="https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t",
    )
    assert client.post("/webhooks/aws", json=subscription).status_code == 202
    assert amazon.requests == [CERTIFICATE_PATH, "/"]
    (case,) = (c for c in CASES if (c.dialect, c.name) == ("ecr-eventbridge", "push"))
    notification = message(Message=json.dumps(case.body))
    assert client.post("/webhooks/aws", json=notification).json()["accepted"] == 1
    assert client.post("/webhooks/aws", json=notification).json()["duplicates"] == 1
    (record,) = pending_events(redis)
    assert record["registry"] == "aws"


def test_sns_forgeries_contact_nobody(client: httpx.Client, amazon: FileServer) -> None:
    forged = message(SigningCertURL="https://evil.example/SimpleNotificationService-a.pem")
    assert client.post("/webhooks/aws", json=forged).status_code == 401
    other = message(TopicArn="arn:aws:sns:eu-west-1:999999999999:other")
    assert client.post("/webhooks/aws", json=other).status_code == 401
    assert amazon.requests == []
    changed = message() | {"Message": "{}"}
    assert client.post("/webhooks/aws", json=changed).status_code == 401


def test_amazon_away_makes_sns_come_again(client: httpx.Client, amazon: FileServer) -> None:
    amazon.files[CERTIFICATE_PATH] = (500, b"")
    answer = client.post("/webhooks/aws", json=message())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_a_body_that_does_not_come_is_given_up(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "BODY_SECONDS", 0.2)
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(
            f"POST {GRID} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[".encode()
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 408")
