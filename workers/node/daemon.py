"""Composition of ``node watch``: sources, follower, metrics, signals."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import start_http_server

from app.observability.logging import configure
from workers.node import metrics
from workers.node.cache import ContentCache
from workers.node.connect import Registries
from workers.node.fetch import FetchOptions
from workers.node.following import Follower, listed
from workers.node.kubernetes import ClusterAccess, NodePods


@dataclass(frozen=True, slots=True)
class Sources:
    """Where wanted references come from."""

    references: Path | None
    kubernetes: bool


def run(
    sources: Sources,
    registries: Registries,
    cache: ContentCache,
    options: FetchOptions,
    refresh: float,
    metrics_port: int | None,
) -> None:
    """Follow the sources until SIGTERM or SIGINT. Raises ``ConfigurationError``."""
    configure("json")
    stopped = threading.Event()
    pods: NodePods | None = None

    def wanted() -> set[str]:
        names = listed(sources.references) if sources.references else set()
        return names | (pods.images() if pods else set())

    follower = Follower(wanted, registries, cache, options, refresh=refresh)
    if sources.kubernetes:
        pods = NodePods(ClusterAccess.in_cluster(os.environ), follower.woken.set, stopped)
        pods.start()

    def stop(*_: object) -> None:
        stopped.set()
        follower.woken.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server = None
    if metrics_port is not None:
        server, _ = start_http_server(metrics_port, registry=metrics.REGISTRY)
    try:
        follower.run(stopped)
    finally:
        if server is not None:
            server.shutdown()
