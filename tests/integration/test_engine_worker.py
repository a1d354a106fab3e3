"""What a real worker does when it is cancelled, killed, or stopped for a deploy in mid-work."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.jobs.records import Job
from app.jobs.state import JobState
from app.oci.digest import Digest
from tests.support.faultproxy import Proxy, fault_proxy
from tests.support.images import layer_tar, push_image
from tests.support.pipeline import Pipeline, pipeline

pytestmark = pytest.mark.real


class Stalling:
    """A service whose registry can be made to stall in the middle of a layer."""

    def __init__(self, service: Pipeline, proxy: Proxy) -> None:
        self.service = service
        self.proxy = proxy

    def push_stalling(self, repository: str, seed: int) -> Digest:
        """Push an image and return once its layer's download has stalled."""
        tar = layer_tar(seed, files=20, size=100_000)
        image = None
        self.service.engine.schedule.pause("main")
        image = push_image(self.service.registry, repository, [tar], tag="1")
        layer = image.layers[0].digest
        self.proxy.arm("stall-midway", f"GET .*/blobs/{layer}", times=1)
        self.service.engine.schedule.resume("main")
        self.service.engine.wake_all()
        self.service.wait(lambda: self.proxy.hits > 0, 30, "the layer was not asked for")
        return image.digest

    def job(self, repository: str) -> Job:
        """The repository's only job."""
        (job,) = self.service.jobs(repository)
        return job


@pytest.fixture(scope="module")
def stalling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stalling]:
    holder: list[Proxy] = []

    @contextmanager
    def proxied(host: str) -> Iterator[str]:
        with fault_proxy(host) as proxy:
            holder.append(proxy)
            yield proxy.url

    folder: Path = tmp_path_factory.mktemp("worker")
    with pipeline(folder, proxy=proxied) as service:
        yield Stalling(service, holder[0])


def test_a_stuck_download_is_cancelled_within_seconds(stalling: Stalling) -> None:
    stalling.push_stalling("stuck/cancelled", 1)
    asked = time.monotonic()
    stalling.service.engine.cancel(stalling.job("stuck/cancelled").id)
    assert stalling.job("stuck/cancelled").state is JobState.CANCELLED
    stalling.service.wait(
        lambda: not stalling.service.engine.schedule.running(), 15, "the layer is still built"
    )
    assert time.monotonic() - asked < 15
    stalling.service.wait_idle()


def test_a_worker_killed_in_mid_layer_costs_one_attempt(stalling: Stalling) -> None:
    digest = stalling.push_stalling("stuck/killed", 2)
    (worker,) = stalling.service.workers
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    stalling.service.workers.clear()
    stalling.service.start_worker("worker-after-kill")
    stalling.service.wait_idle()
    job = stalling.job("stuck/killed")
    assert job.state is JobState.SUCCEEDED
    assert len(stalling.service.bundles("stuck/killed", digest)) == 1
    build = stalling.service.engine.builds.get(job.layers[0].build)
    assert build is not None
    assert build.attempts == 2
    assert "lose" in [moment.step for moment in build.history]


def test_a_deploy_in_mid_layer_loses_nothing(stalling: Stalling) -> None:
    digest = stalling.push_stalling("stuck/deployed", 3)
    (worker,) = stalling.service.workers
    # The service's supervisor maps TERM to QUIT: soft shutdown, then cold.
    worker.send_signal(signal.SIGQUIT)
    stalling.service.start_worker("worker-after-deploy")
    stalling.service.wait(lambda: worker.poll() is not None, 60, "the old worker does not stop")
    stalling.service.workers.remove(worker)
    stalling.service.wait_idle(90)
    assert stalling.job("stuck/deployed").state is JobState.SUCCEEDED
    assert len(stalling.service.bundles("stuck/deployed", digest)) == 1
