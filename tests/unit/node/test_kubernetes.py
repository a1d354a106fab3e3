"""Pods of a node, from a server that speaks the Kubernetes API's list and watch."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.errors import ConfigurationError
from workers.node.kubernetes import ClusterAccess, NodePods, images_of, normalised


def pod(uid: str, *images: str, init: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"image": image} for image in images]}
    if init:
        spec["initContainers"] = [{"image": init}]
    return {"metadata": {"uid": uid}, "spec": spec}


class Api(ThreadingHTTPServer):
    """Answers a list, then gives each watch the next batch of events."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.items: list[dict[str, Any]] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.fail_next = 0
        self.lists = 0
        self.queries: list[dict[str, list[str]]] = []
        self.tokens: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        api = self.server
        assert isinstance(api, Api)
        query = parse_qs(urlsplit(self.path).query)
        api.queries.append(query)
        api.tokens.add(self.headers.get("Authorization", ""))
        if api.fail_next:
            api.fail_next -= 1
            self.send_error(503)
            return
        self.send_response(200)
        self.end_headers()
        if "watch" not in query:
            api.lists += 1
            document = {"metadata": {"resourceVersion": "41"}, "items": api.items}
            self.wfile.write(json.dumps(document).encode())
            return
        if not api.batches:
            time.sleep(0.2)
            return
        for event in api.batches.pop(0):
            data = json.dumps(event).encode() + b"\n"
            self.wfile.write(data[:7])  # a line need not come in one piece
            self.wfile.flush()
            self.wfile.write(data[7:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def follow(api: Api, token_file: Any = None) -> tuple[NodePods, threading.Event, threading.Event]:
    stopped, changed = threading.Event(), threading.Event()
    pods = NodePods(ClusterAccess(api.url, "node-1", token_file), changed.set, stopped)
    pods.start()
    return pods, changed, stopped


def settle(pods: NodePods, wanted: set[str]) -> None:
    deadline = time.monotonic() + 10
    while pods.images() != wanted:
        assert time.monotonic() < deadline, pods.images()
        time.sleep(0.01)


def test_pods_that_come_change_and_go_are_followed(api: Api, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("secret\n")
    api.items = [pod("1", "r.example/a:1", init="r.example/init:1"), pod("2", "r.example/b:1")]
    api.batches = [
        [
            {"type": "ADDED", "object": pod("3", "r.example/c:1")},
            {"type": "MODIFIED", "object": pod("2", "r.example/b:2")},
            {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "44"}}},
            {"type": "DELETED", "object": pod("1", "r.example/a:1")},
        ]
    ]
    original, api.items = api.items, api.items
    pods, changed, stopped = follow(api, tmp_path / "token")
    assert changed.wait(10)
    # After the watch ends the list is read again, so it must say the same by then.
    api.items = [original[1] | {"spec": pod("2", "r.example/b:2")["spec"]},
                 pod("3", "r.example/c:1")]  # fmt: skip
    settle(pods, {"r.example/b:2", "r.example/c:1"})
    stopped.set()
    assert api.queries[0]["fieldSelector"] == ["spec.nodeName=node-1"]
    assert api.queries[1]["resourceVersion"] == ["41"]
    assert api.tokens == {"Bearer secret"}


def test_an_expired_version_and_failures_lead_to_a_new_list(api: Api) -> None:
    api.fail_next = 1
    api.batches = [[{"type": "ERROR", "object": {"code": 410}}]]
    api.items = [pod("1", "r.example/a:1")]
    pods, _, stopped = follow(api)
    settle(pods, {"r.example/a:1"})
    deadline = time.monotonic() + 10
    while api.lists < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.set()
    assert api.lists >= 2


def test_outside_a_cluster_it_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="KUBERNETES_SERVICE_HOST"):
        ClusterAccess.in_cluster({})
    access = ClusterAccess.in_cluster(
        {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443", "NODE_NAME": "n"}
    )
    assert access.url == "https://[fd00::1]:443"


@pytest.mark.parametrize(
    ("name", "completed"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("team/app", "docker.io/team/app"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("localhost/app:2", "localhost/app:2"),
        ("r.example:5000/a/b@sha256:" + "a" * 64, "r.example:5000/a/b@sha256:" + "a" * 64),
        ("BAD NAME", "None"),
    ],
)
def test_names_are_completed_as_the_kubelet_does(name: str, completed: str) -> None:
    assert str(normalised(name)) == completed


def test_odd_pods_have_no_images() -> None:
    assert images_of({}) == set()
    assert images_of({"spec": {"containers": [{}, {"image": 3}]}}) == set()
    assert images_of({"spec": {"ephemeralContainers": [{"image": "x"}]}}) == {"x"}
