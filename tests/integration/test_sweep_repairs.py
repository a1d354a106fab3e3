"""A push whose event is lost on purpose is repaired by the sweep: real registry, Redis, worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from celery import Celery

from app.jobs.messages import SweepRegistries
from app.jobs.queue import MAINTENANCE_QUEUE
from app.jobs.requests import SweepRequests, Verifications
from app.jobs.state import JobState
from app.oci.manifest import RawManifest, encode
from app.oci.mediatypes import OCI_MANIFEST
from app.registry.protocols import Registry
from app.settings import Settings
from tests.support.images import layer_tar, push_image
from tests.support.pipeline import Pipeline, pipeline
from tests.support.ports import free_port
from tests.support.processes import running
from tests.support.registries import RunningRegistry
from tests.support.tools import require
from workers.composition import open_context
from workers.sweep.progress import ProgressStore
from workers.sweep.scheduled import sweep_due

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipeline(tmp_path_factory.mktemp("sweep")) as started:
        yield started


@contextmanager
def without_notifications(service: Pipeline) -> Iterator[Registry]:
    """A second door to the registry's storage, which tells nobody what is pushed through it."""
    root = service.server.root
    document = yaml.safe_load((root / "config.yml").read_text())
    del document["notifications"], document["http"]["debug"]
    port = free_port()
    document["http"]["addr"] = f"127.0.0.1:{port}"
    silent = root / f"silent-{port}.yml"
    silent.write_text(yaml.safe_dump(document))
    url = f"http://127.0.0.1:{port}"
    command = [require("docker-registry"), "serve", str(silent)]
    with running(command, f"{url}/v2/", root / "silent.log"):
        registry = RunningRegistry(url, service.server.flavour, root).open("silent")
        yield registry
        registry.close()


def sweep(service: Pipeline, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Run ``verilayer sweep --json`` as an operator does."""
    done = subprocess.run(
        [sys.executable, "-m", "workers", "sweep", "--json", *arguments],
        env={**os.environ, **service.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_sweep_repairs_a_lost_event(service: Pipeline) -> None:
    with without_notifications(service) as silent:
        image = push_image(silent, "lost/one", [layer_tar(401), layer_tar(402)], tag="1.4")
    service.wait_idle(at_least=0)
    assert service.bundles("lost/one", image.digest) == []

    status, lines = sweep(service, "main", "--repository", "lost/one", "--dry-run")
    assert status == 0
    assert lines[-1]["counts"] == {"missing": 1, "tags": 1}
    service.wait_idle(at_least=0)
    assert service.bundles("lost/one", image.digest) == []

    sweep(service, "main", "--repository", "lost/one")
    service.wait_idle()
    assert len(service.bundles("lost/one", image.digest)) == 1
    (job,) = service.jobs("lost/one")
    assert (job.state, job.source, job.priority) == (JobState.SUCCEEDED, "sweep", "low")

    _, lines = sweep(service, "main", "--repository", "lost/one")
    assert lines[-1]["counts"] == {"complete": 1, "ignored": 1, "tags": 1}


def test_the_scheduled_sweep_does_the_same(tmp_path: Path) -> None:
    sweeping = {"enabled": True, "verify_every": 1, "interval_hours": 1e-6}
    with pipeline(tmp_path / "scheduled", sweep=sweeping) as service:
        scheduled_sweep_repairs(service)
        scheduled_sweep_notices_drift(service)


def sweep_now(service: Pipeline) -> None:
    """Send what the clock sends."""
    sender = Celery("test", broker=service.redis.url, set_as_current=False)
    sender.send_task(
        SweepRegistries.task_name,
        args=[SweepRegistries().model_dump(mode="json")],
        queue=MAINTENANCE_QUEUE,
    )


def scheduled_sweep_repairs(service: Pipeline) -> None:
    with without_notifications(service) as silent:
        layers = [layer_tar(403), layer_tar(404)]
        image = push_image(silent, "lost/two", layers, tag="1.4")
    sweep_now(service)
    service.wait(
        lambda: len(service.bundles("lost/two", image.digest)) == 1,
        60,
        "the sweep repairs nothing",
    )
    service.wait_idle()


def scheduled_sweep_notices_drift(service: Pipeline) -> None:
    """A bundle whose manifest, blobs and signatures are in order, but with exchanged indexes."""
    (job,) = service.jobs("lost/two")
    (ours,) = service.bundles("lost/two", job.digest)
    document = json.loads(service.registry.fetch_manifest("lost/two", ours.digest).data)
    one, two = (entry for entry in document["layers"] if "metadata" in entry["mediaType"])
    for field in ("digest", "size"):
        one[field], two[field] = two[field], one[field]
    with without_notifications(service) as silent:
        silent.detach("lost/two", job.digest, ours.digest)
        silent.attach("lost/two", RawManifest(OCI_MANIFEST, encode(document)))
    assert [bundle.digest for bundle in service.bundles("lost/two", job.digest)] != [ours.digest]
    sweep_now(service)
    service.wait(
        lambda: (
            [bundle.digest for bundle in service.bundles("lost/two", job.digest)] == [ours.digest]
        ),
        60,
        "the sweep does not notice",
    )
    record = Verifications(service.engine.redis).latest("main", "lost/two", job.digest)
    assert record is not None
    assert (record.state, record.actor) == ("done", "sweep")


def test_a_registry_that_is_away_is_left_alone_for_a_while(
    service: Pipeline,
) -> None:
    document = yaml.safe_load((service.directory / "verilayer.yaml").read_text())
    document["sweep"] = {"enabled": True}
    document["registries"][0]["url"] = f"http://127.0.0.1:{free_port()}"
    document["registries"][0]["limits"]["attempts"] = 1
    other = service.directory / "away.yaml"
    other.write_text(yaml.safe_dump(document))
    settings = Settings.model_validate(
        {
            "config_file": other,
            "redis_url": service.redis.url,
            "state_dir": service.directory / "away",
        }
    )
    context = open_context(settings, service.engine.queue)
    store = ProgressStore(service.engine.redis)
    # Whatever other tests swept a moment ago: it is asked for again.
    SweepRequests(service.engine.redis).ask("main")
    assert sweep_due(context) == []
    assert store.is_put_off("main")
    service.engine.redis.delete("{verilayer}:sweep:main:put-off")


def test_a_broken_bundle_is_replaced(service: Pipeline) -> None:
    with without_notifications(service) as silent:
        image = push_image(silent, "lost/three", [layer_tar(404)], tag="1.4")
    sweep(service, "main", "--repository", "lost/three")
    service.wait_idle()
    (bundle,) = service.bundles("lost/three", image.digest)
    # A layer's index goes missing from the repository, as after a careless garbage collection.
    manifest = json.loads(service.registry.fetch_manifest("lost/three", bundle.digest).data)
    hexadecimal = manifest["layers"][0]["digest"].partition(":")[2]
    data = service.server.root / "data/docker/registry/v2"
    (data / f"repositories/lost/three/_layers/sha256/{hexadecimal}/link").unlink()

    _, lines = sweep(service, "main", "--repository", "lost/three", "--dry-run")
    assert lines[0]["finding"] == "broken"
    sweep(service, "main", "--repository", "lost/three")
    service.wait_idle()
    _, lines = sweep(service, "main", "--repository", "lost/three", "--dry-run")
    assert lines[0]["finding"] == "complete", lines
    assert len(service.bundles("lost/three", image.digest)) == 1
