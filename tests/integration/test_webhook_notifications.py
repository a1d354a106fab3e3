"""Notifications that real registries send, received by the real web process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.artifacts import artifact, push_image
from tests.support.redis_server import RedisServer, redis_server
from tests.support.registries import FLAVOURS, Flavour, RunningRegistry, docker_registry
from tests.support.webhook_service import (
    HEADER,
    SECRET,
    WebhookService,
    pending_events,
    webhook_service,
)

pytestmark = pytest.mark.real

CONFIG = f"""
registries:
  - id: main
    url: http://127.0.0.1:5000
    webhook: {{dialect: distribution, header: {HEADER}, secrets: [{{value: {SECRET}}}]}}
rules: [{{name: all}}]
"""
BUNDLE = "application/vnd.containerd.erofs.dmverity.v1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
def service(tmp_path: Path, server: RedisServer) -> Iterator[WebhookService]:
    with webhook_service(tmp_path, CONFIG, server) as running:
        yield running


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def pushed_events(server: RedisServer) -> list[dict[str, str]]:
    return [dict(record["event"]) for record in pending_events(server)]  # type: ignore[call-overload]


def ignored(service: WebhookService) -> dict[str, int]:
    text = httpx.get(f"{service.url}/metrics").text
    found = re.findall(r'verilayer_webhook_ignored_total\{.*reason="(.*?)"\} (\d+)', text)
    return {reason: int(count) for reason, count in found}


@pytest.mark.parametrize(("flavour", "slash"), [("debian", ""), ("debian", "/"), ("v3", "")])
def test_a_push_arrives_once_with_its_digest_and_tag(
    flavour: Flavour, slash: str, service: WebhookService, server: RedisServer, tmp_path: Path
) -> None:
    notify = f"{service.url}/webhooks/main{slash}"
    with docker_registry(
        tmp_path, flavour, notify=notify, notify_headers={HEADER: SECRET}
    ) as running:
        registry = running.open()
        image = push_image(registry, "team/app", "1.4", b"a layer")
        wait(lambda: bool(pending_events(server)), "no event arrives")
        referrer = artifact(image, BUNDLE)
        registry.attach("team/app", referrer)
        # Whatever the registry tells of our own push, blobs are not manifests.
        wait(lambda: "media-type" in ignored(service), "no blob event arrives")
        wait(lambda: settled(service, server, running), "events keep arriving")
        registry.close()
    events = pushed_events(server)
    pushed = [event for event in events if event["digest"] == image.digest]
    assert len(pushed) == 1
    assert pushed[0]["tag"] == "1.4"
    assert pushed[0]["repository"] == "team/app"
    # The referrer's own manifest may pass here (its type is not told); its fallback tag may not.
    others = {event["digest"] for event in events} - {image.digest}
    assert others <= {referrer.digest}
    assert not any(event.get("tag", "").startswith("sha256-") for event in events)


def settled(service: WebhookService, server: RedisServer, registry: RunningRegistry) -> bool:
    if registry.undelivered():
        return False
    before = (ignored(service), len(pending_events(server)))
    time.sleep(0.7)
    return before == (ignored(service), len(pending_events(server)))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_registry_repeats_what_was_not_taken(
    flavour: Flavour, service: WebhookService, server: RedisServer, tmp_path: Path
) -> None:
    """While Redis is away the endpoint answers 503, and the registry keeps the event."""
    with docker_registry(
        tmp_path, flavour, notify=f"{service.url}/webhooks/main", notify_headers={HEADER: SECRET}
    ) as running:
        server.stop()
        registry = running.open()
        image = push_image(registry, "team/late", "1", b"another layer")
        registry.close()
        log = service.log
        wait(lambda: " 503" in log.read_text(), "never refused")
        server.start()
        wait(
            lambda: [event["digest"] for event in pushed_events(server)] == [image.digest],
            "the event is lost",
        )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_wrong_secret_lets_nothing_in(
    flavour: Flavour, service: WebhookService, server: RedisServer, tmp_path: Path
) -> None:
    with docker_registry(
        tmp_path, flavour, notify=f"{service.url}/webhooks/main", notify_headers={HEADER: "wrong"}
    ) as running:
        registry = running.open()
        push_image(registry, "team/app", "1", b"a third layer")
        registry.close()
        wait(lambda: " 401" in service.log.read_text(), "nothing arrives")
    assert pending_events(server) == []
