"""The ``/metrics`` text: this host's counters summed over processes, and readings from Redis.

The API serves it on its own port; a worker, which has no HTTP otherwise, on a port of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from app.errors import VerilayerError
from app.observability import metrics

CONTENT_TYPE = CONTENT_TYPE_LATEST
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a metric of ``metrics.READINGS``."""

    name: str
    value: float
    labels: Mapping[str, str]


#: Reads the ledger; raises ``VerilayerError`` when Redis does not answer.
ReadingSource = Callable[[], Iterable[Reading]]


class ReadingsCollector(Collector):
    """Asks its source at every scrape; a failing source is itself a metric, not a failed scrape."""

    def __init__(self, source: ReadingSource) -> None:
        """Keep the source."""
        self._source = source

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the families without asking the source."""
        yield from _families().values()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all families of ``READINGS``; those without a value stay empty."""
        families = _families()
        answered = 1.0
        try:
            for reading in self._source():
                names = metrics.READINGS[reading.name][1]
                families[reading.name].add_metric(
                    [reading.labels[name] for name in names], reading.value
                )
        except VerilayerError:
            answered = 0.0
            families = _families()
        families["verilayer_readings_ok"].add_metric([], answered)
        yield from families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        name: GaugeMetricFamily(name, text, labels=labels)
        for name, (text, labels) in metrics.READINGS.items()
    }


def exposition(source: ReadingSource | None = None) -> CollectorRegistry:
    """Build the registry to render: all processes of the host, plus readings when given."""
    registry = CollectorRegistry()
    if MULTIPROCESS_VARIABLE in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # registers itself
    else:
        registry.register(_Process())
    if source is not None:
        registry.register(ReadingsCollector(source))
    return registry


class _Process(Collector):
    """This process's own metrics."""

    def collect(self) -> Iterable[object]:  # type: ignore[override]  # the library's is narrower
        return REGISTRY.collect()


def render(registry: CollectorRegistry) -> bytes:
    """Return the text format for ``CONTENT_TYPE``."""
    return generate_latest(registry)


def serve(port: int, host: str = "0.0.0.0") -> Callable[[], None]:  # noqa: S104 - scraped from outside
    """Serve this host's metrics over HTTP from a thread; returns what stops it."""
    server, thread = start_http_server(port, addr=host, registry=exposition())

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def clear_directory(directory: Path) -> None:
    """Forget values of earlier processes; call before any process of the service starts."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def process_ended(pid: int) -> None:
    """Drop a dead process's live gauges; its counters stay, as counters must."""
    if MULTIPROCESS_VARIABLE in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library has no types
