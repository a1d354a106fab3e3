"""The processes of one service: private Redis, API, worker, beat; and how each says it is ready."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.observability.exposition import MULTIPROCESS_VARIABLE
from workers.supervisor.child import ChildSpec

#: TERM lets a worker finish what it runs and ends it as soon as that is done. (QUIT would start
#: Celery's soft shutdown, which sleeps its whole time: right in a cluster, long for a person.) What
#: takes longer is killed; its lease ends, and the next start takes it up again.
WORKER_STOP_TIMEOUT = 40.0


@dataclass(frozen=True, slots=True)
class Service:
    """Where one service runs."""

    state: Path
    config_file: Path
    redis_url: str
    host: str
    port: int
    concurrency: int
    log_format: str

    @property
    def url(self) -> str:
        """Base URL of the API as this machine reaches it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Environment of every process of ours: the caller's, with the settings of this service."""
        return {
            **os.environ,
            "VERILAYER_CONFIG_FILE": str(self.config_file.resolve()),
            "VERILAYER_REDIS_URL": self.redis_url,
            "VERILAYER_STATE_DIR": str(self.state.resolve()),
            "VERILAYER_HOST": self.host,
            "VERILAYER_PORT": str(self.port),
            "VERILAYER_WORKER_CONCURRENCY": str(self.concurrency),
            "VERILAYER_LOG_FORMAT": self.log_format,
            MULTIPROCESS_VARIABLE: str((self.state / "metrics").resolve()),
        }


def api(service: Service) -> ChildSpec:
    """The web process; ready once ``/readyz`` says so."""
    return ChildSpec(
        name="api",
        argv=(
            *(sys.executable, "-m", "uvicorn", "--factory", "app.main:from_environment"),
            *("--host", service.host, "--port", str(service.port), "--no-server-header"),
            # The peer's own address counts: proofs by proxy depend on it (docs/webhooks.md).
            "--no-proxy-headers",
        ),
        environment=service.environment(),
        ready=lambda: answers_ok(f"{service.url}/readyz"),
        needs_predecessors=False,
        stop_timeout=15,
    )


def worker(service: Service) -> ChildSpec:
    """All queues in one Celery worker; ready once its first heartbeat is written."""
    heartbeat = service.state / "worker-heartbeat"
    heartbeat.unlink(missing_ok=True)
    environment = service.environment() | {"VERILAYER_HEARTBEAT_FILE": str(heartbeat.resolve())}
    return ChildSpec(
        name="worker",
        argv=(
            *(sys.executable, "-m", "celery", "-q", "-A", "workers.celery", "worker"),
            *("--concurrency", str(service.concurrency), "--hostname", "worker@%h"),
            *("--without-gossip", "--without-mingle"),
        ),
        environment=environment,
        ready=heartbeat.exists,
        stop_timeout=WORKER_STOP_TIMEOUT,
    )


def beat(service: Service) -> ChildSpec:
    """The clock of sweeps and of the reaper; it serves nobody, so it is ready when it runs."""
    schedule = service.state / "beat-schedule"
    return ChildSpec(
        name="beat",
        argv=(
            *(sys.executable, "-m", "celery", "-q", "-A", "workers.celery", "beat"),
            *("--schedule", str(schedule.resolve()), "--pidfile", ""),
        ),
        environment=service.environment(),
        ready=lambda: True,
        needs_predecessors=False,
        stop_timeout=10,
    )


def answers_ok(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET is answered with 200 within a second."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - our own URL
    try:
        with urllib.request.urlopen(request, timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
