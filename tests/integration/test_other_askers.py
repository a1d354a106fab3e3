"""What one image claims, or one repository refuses, decides nothing for anybody else."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.jobs.records import Job
from app.jobs.state import JobState
from app.oci.digest import Digest
from tests.support.images import layer_tar, push_image
from tests.support.pipeline import Pipeline, pipeline

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    environment = {"VERILAYER_RETRY_SECONDS": "0.2", "VERILAYER_MAX_ATTEMPTS": "3"}
    with pipeline(tmp_path_factory.mktemp("askers"), environment=environment) as running:
        yield running


def job(service: Pipeline, repository: str) -> Job:
    (found,) = service.jobs(repository)
    return found


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("type", {"media_type": "application/vnd.oci.image.layer.v1.tar"}),
        ("longer", {"size": 1 << 20}),
    ],
)
def test_a_lie_about_a_layer_fails_alone(
    service: Pipeline, name: str, claims: dict[str, object]
) -> None:
    tars = [layer_tar(len(name))]
    push_image(service.registry, f"liar/{name}", tars, tag="1", claims=claims)
    service.wait_idle()
    assert job(service, f"liar/{name}").state is JobState.FAILED
    honest = push_image(service.registry, f"honest/{name}", tars, tag="1")
    service.wait_idle()
    assert job(service, f"honest/{name}").state is JobState.SUCCEEDED
    assert len(service.bundles(f"honest/{name}", honest.digest)) == 1


def drop(service: Pipeline, repository: str, layer: Digest) -> None:
    """Take a layer out of a repository, as a registry that checks no layers would never have it."""
    url = f"{service.server.url}/v2/{repository}/blobs/{layer}"
    assert httpx.delete(url).status_code == 202
    assert httpx.head(url).status_code == 404


def test_what_is_known_of_a_private_layer_is_not_brought_to_who_names_it(
    service: Pipeline,
) -> None:
    tars = [layer_tar(70)]
    push_image(service.registry, "private/app", tars, tag="1")
    service.wait_idle()
    facts = service.engine.builds.get(job(service, "private/app").layers[0].build)
    assert facts is not None
    assert facts.facts is not None
    service.stop_workers()
    image = push_image(service.registry, "thief/app", tars, tag="1", salt="thief")
    drop(service, "thief/app", image.layers[0].digest)
    service.start_worker("later")
    service.wait_idle()
    assert job(service, "thief/app").state is JobState.DEAD
    failure = job(service, "thief/app").failure
    assert failure is not None
    assert failure.code == "registry-layer-absent"
    assert image.layers[0].digest in failure.message
    assert service.bundles("thief/app", image.digest) == []
    index = f"{service.server.url}/v2/thief/app/blobs/{facts.facts.index_digest}"
    assert httpx.head(index).status_code == 404


def test_a_repository_that_lost_a_layer_does_not_fail_it_for_another(service: Pipeline) -> None:
    tars = [layer_tar(71)]
    service.stop_workers()
    image = push_image(service.registry, "lost/app", tars, tag="1")
    drop(service, "lost/app", image.layers[0].digest)
    service.start_worker("again")
    service.wait_idle()
    assert job(service, "lost/app").finished
    assert job(service, "lost/app").state is not JobState.SUCCEEDED
    whole = push_image(service.registry, "whole/app", tars, tag="1", salt="whole")
    service.wait_idle()
    assert job(service, "whole/app").state is JobState.SUCCEEDED
    assert len(service.bundles("whole/app", whole.digest)) == 1
