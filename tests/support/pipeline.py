"""The whole service around a real registry: Redis, API, Celery worker, each its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.queue import CeleryJobQueue
from app.jobs.records import Job
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.mediatypes import OCI_MANIFEST
from app.registry.protocols import Registry
from tests.support.certificates import identity
from tests.support.ports import free_port
from tests.support.processes import running
from tests.support.redis_server import RedisServer, redis_server
from tests.support.registries import RunningRegistry, docker_registry

SECRET = "correct-horse-battery-staple"
BUNDLE = "application/vnd.containerd.erofs.dmverity.v1"


@dataclass(slots=True)
class Pipeline:
    """Everything that runs, and ways to look at it."""

    directory: Path
    redis: RedisServer
    server: RunningRegistry
    registry: Registry
    engine: JobEngine
    api: str
    certificate: Path
    environment: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, name: str = "worker", concurrency: int = 2) -> subprocess.Popen[bytes]:
        """Start a worker in a process group of its own."""
        command = [
            *(sys.executable, "-m", "celery", "-q", "-A", "workers.celery", "worker"),
            *("--concurrency", str(concurrency), "--hostname", f"{name}@%h"),
            *("--without-gossip", "--without-mingle"),
        ]
        with (self.directory / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def stop_workers(self) -> None:
        """Ask all workers to stop; kill what does not."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.workers.clear()

    def notify(
        self,
        repository: str,
        digest: Digest,
        tag: str | None = None,
        event: str = "",
        client: httpx.Client | None = None,
    ) -> httpx.Response:
        """Send one distribution notification as the registry would."""
        target: dict[str, Any] = {
            "mediaType": OCI_MANIFEST,
            "digest": digest,
            "repository": repository,
            "url": f"{self.server.url}/v2/{repository}/manifests/{digest}",
        }
        if tag:
            target["tag"] = tag
        one = {"id": event or os.urandom(8).hex(), "action": "push", "target": target}
        return (client or httpx).post(
            f"{self.api}/webhooks/main",
            json={"events": [one]},
            headers={
                "X-Secret": SECRET,
                "Content-Type": "application/vnd.docker.distribution.events.v1+json",
            },
        )

    def idle(self) -> bool:
        """Whether no event and no job is on its way."""
        counts = self.engine.events.counts()
        return not (
            counts.pending
            or counts.claimed
            or self.engine.ledger.store.active(float("inf"), 1)
            or self.engine.builds.store.active(float("inf"), 1)
        )

    def wait_idle(self, seconds: float = 60.0, at_least: int = 1) -> None:
        """Wait until everything pushed is told, and everything told has an outcome.

        ``at_least`` events must be in. What a job attaches is a push too, and its notification is
        told a moment later: the registry's own count says when none is on its way.
        """
        quiet = 0

        def rests() -> bool:
            nonlocal quiet
            told = self.server.undelivered() == 0
            settled = self.engine.events.counts().accepted >= at_least and self.idle()
            # Between a push's answer and the registry's queue lies one of its channels.
            quiet = quiet + 1 if told and settled else 0
            return quiet > 3

        self.wait(rests, seconds, "the service does not come to rest")

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll; fail with the worker's log."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = [path.read_text()[-3000:] for path in self.directory.glob("worker*.log")]
                raise AssertionError("\n".join([what, *logs]))
            time.sleep(0.05)

    def bundles(self, repository: str, subject: Digest) -> list[Descriptor]:
        """Bundles of the default profile that are attached."""
        return self.registry.list_referrers(repository, subject, BUNDLE)

    def jobs(self, repository: str) -> list[Job]:
        """All jobs of a repository."""
        page = self.engine.ledger.listing(registry="main", repository=repository, limit=200)
        return list(page.items)

    def builds_done(self) -> int:
        """How many layer builds ever succeeded."""
        raw: Any = self.engine.redis.hget("{verilayer}:build:counts", "succeeded")
        return int(raw or 0)


def configuration(url: str, directory: Path, **more: Any) -> tuple[dict[str, Any], Path]:
    """A configuration with one registry and one signing key; returns the certificate too."""
    key, certificate = identity().write(directory, name="pipeline")
    document: dict[str, Any] = {
        "version": 1,
        "registries": [
            {
                "id": "main",
                "url": url,
                "allow_private_addresses": True,
                "limits": {"requests_per_second": 5000, "burst": 5000},
                "webhook": {
                    "dialect": "distribution",
                    "auth": "header",
                    "header": "X-Secret",
                    "secrets": [{"value": SECRET}],
                },
            }
        ],
        "rules": [{"name": "all", "registry": "main"}],
        "signers": [
            {"name": "test", "kind": "pem", "key": str(key), "certificate": str(certificate)}
        ],
        "defaults": {"signer": "test"},
        # Tests say what they want to happen; the sweep would add to it half a minute in.
        "sweep": {"enabled": False},
        **more,
    }
    return document, certificate


@contextmanager
def pipeline(
    directory: Path,
    *,
    environment: Mapping[str, str] | None = None,
    workers: int = 1,
    proxy: Callable[[str], AbstractContextManager[str]] | None = None,
    durable: bool = False,
    **config: Any,
) -> Iterator[Pipeline]:
    """Run the service until the block ends. ``proxy`` puts something before the registry."""
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        port = free_port()
        api = f"http://127.0.0.1:{port}"
        server = stack.enter_context(
            docker_registry(
                directory, notify=f"{api}/webhooks/main", notify_headers={"X-Secret": SECRET}
            )
        )
        url = server.url
        if proxy is not None:
            url = stack.enter_context(proxy(server.host))
        redis = stack.enter_context(redis_server(directory, durable=durable))
        document, certificate = configuration(url, directory, **config)
        path = directory / "verilayer.yaml"
        path.write_text(yaml.safe_dump(document))
        settings = {
            "VERILAYER_CONFIG_FILE": str(path),
            "VERILAYER_REDIS_URL": redis.url,
            "VERILAYER_STATE_DIR": str(directory / "state"),
            "VERILAYER_REAP_SECONDS": "1",
            "VERILAYER_RETRY_SECONDS": "0.5",
            "VERILAYER_LEASE_SECONDS": "5",
            **(environment or {}),
        }
        stack.enter_context(
            running(
                [
                    *(sys.executable, "-m", "uvicorn", "--factory", "app.main:from_environment"),
                    *("--port", str(port), "--no-access-log"),
                ],
                f"{api}/healthz",
                directory / "api.log",
                settings,
            )
        )
        engine = JobEngine.over(connect(redis.url), CeleryJobQueue.connect(redis.url))
        one = Pipeline(
            directory, redis, server, server.open("main"), engine, api, certificate, settings
        )
        stack.callback(one.registry.close)
        stack.callback(one.stop_workers)
        for number in range(workers):
            one.start_worker(f"worker{number}")
        yield one
