"""The admin API over the whole running service: verification, image view, a batch to its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.images import PushedImage, layer_tar, push_image
from tests.support.pipeline import BUNDLE, Pipeline, pipeline

pytestmark = pytest.mark.real

TOKEN = "token-of-an-operator"
REPOSITORY = "team/verified"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    admin = {"tokens": [{"name": "operator", "role": "operate", "sha256": digest}]}
    with pipeline(tmp_path_factory.mktemp("verify"), admin=admin) as running:
        yield running


@pytest.fixture
def client(service: Pipeline) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=service.api, headers=headers, timeout=30) as one:
        yield one


@pytest.fixture
def image(service: Pipeline) -> PushedImage:
    pushed = push_image(service.registry, REPOSITORY, [layer_tar(801), layer_tar(802)], tag="1")
    service.wait(lambda: bool(service.bundles(REPOSITORY, pushed.digest)), 60, "nothing attached")
    service.wait_idle()
    return pushed


def verified(service: Pipeline, client: httpx.Client, **wanted: Any) -> dict[str, Any]:
    answer = client.post(
        "/v1/verify", json={"registry": "main", "repository": REPOSITORY, **wanted}
    )
    assert answer.status_code == 202, answer.text
    location, report = answer.headers["location"], {}

    def settled() -> bool:
        report.update(client.get(location).json())
        return report["state"] in ("done", "failed")

    service.wait(settled, 60, "nobody verifies")
    return report


def test_a_worker_verifies_what_is_attached_until_it_is_tampered_with(
    service: Pipeline, client: httpx.Client, image: PushedImage
) -> None:
    for deep in (False, True):
        report = verified(service, client, digest=image.digest, deep=deep)
        assert (report["state"], report["ok"]) == ("done", True), report
    (bundle,) = service.bundles(REPOSITORY, image.digest)
    view = client.get(f"/v1/images/main/{REPOSITORY}@{image.digest}").json()
    assert [one["digest"] for one in view["referrers"]] == [bundle.digest]
    assert view["referrers"][0]["artifactType"] == BUNDLE
    assert [job["state"] for job in view["jobs"]] == ["succeeded"]
    assert view["verification"]["ok"] is True

    manifest = json.loads(service.registry.fetch_manifest(REPOSITORY, bundle.digest).data)
    name = manifest["layers"][0]["digest"].partition(":")[2]
    data = service.server.root / "data/docker/registry/v2"
    (data / f"repositories/{REPOSITORY}/_layers/sha256/{name}/link").unlink()
    report = verified(service, client, digest=image.digest)
    assert (report["state"], report["ok"]) == ("done", False), report


def test_what_cannot_be_checked_ends_failed_with_a_code(
    service: Pipeline, client: httpx.Client
) -> None:
    report = verified(service, client, tag="absent")
    assert (report["state"], report["error"]) == ("failed", "registry-not-found")


def test_a_batch_converts_again_and_ends(
    service: Pipeline, client: httpx.Client, image: PushedImage
) -> None:
    body = {"registry": "main", "repository": REPOSITORY, "force": True}
    location = client.post("/v1/reprocess", json=body).headers["location"]
    service.wait(
        lambda: client.get(location).json()["batch"]["state"] == "done", 60, "the batch never ends"
    )
    assert client.get(location).json()["jobs"] == {"succeeded": 1}
    assert len(service.bundles(REPOSITORY, image.digest)) == 1
