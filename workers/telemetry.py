"""Connects a Celery worker to ``app.observability``: logs, metrics, traces, heartbeat.

``install`` is called once by ``workers.celery``; everything else happens through Celery's signals,
so that tasks stay free of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Task, signals

from app.observability import exposition, logging, metrics, tracing

_HEADER = "verilayer_traceparent"


@dataclass(frozen=True, slots=True)
class TelemetryOptions:
    """What to tell, and where."""

    log_format: str = "json"
    log_level: str = "INFO"
    metrics_port: int | None = None
    otlp_endpoint: str | None = None
    #: Touched whenever the worker's heart beats, which stops when it no longer consumes.
    heartbeat_file: Path | None = None
    #: Scratch space in use, and its limit, in bytes.
    spool_used: Callable[[], int] | None = None
    spool_limit: int = 0


@dataclass(slots=True)
class Telemetry:
    """Receivers of Celery's signals; keeps what must be undone."""

    options: TelemetryOptions
    _running: dict[str, ExitStack] = field(default_factory=dict)
    _stop_metrics: Callable[[], None] | None = None

    def connect(self) -> None:
        """Subscribe to every signal we use."""
        for signal, receiver in (
            (signals.setup_logging, self.on_setup_logging),
            (signals.worker_init, self.on_worker_init),
            (signals.worker_shutdown, self.on_worker_shutdown),
            (signals.worker_process_init, self.on_process_init),
            (signals.worker_process_shutdown, self.on_process_shutdown),
            (signals.heartbeat_sent, self.on_heartbeat),
            (signals.worker_ready, self.on_heartbeat),
            (signals.before_task_publish, self.on_publish),
            (signals.task_prerun, self.on_prerun),
            (signals.task_postrun, self.on_postrun),
        ):
            signal.connect(receiver, weak=False)

    def on_setup_logging(self, **_: object) -> None:
        """Replace Celery's own logging."""
        logging.configure(self.options.log_format, self.options.log_level)

    def on_worker_init(self, **_: object) -> None:
        """Serve metrics from the parent process, which sees the files of all children."""
        if self.options.metrics_port is not None:
            self._stop_metrics = exposition.serve(self.options.metrics_port)

    def on_worker_shutdown(self, **_: object) -> None:
        """Stop serving, forget the heartbeat."""
        if self._stop_metrics is not None:
            self._stop_metrics()
        if self.options.heartbeat_file is not None:
            self.options.heartbeat_file.unlink(missing_ok=True)

    def on_process_init(self, **_: object) -> None:
        """Start exporting traces after the fork: exporter threads do not survive one."""
        tracing.configure("verilayer-worker", self.options.otlp_endpoint)

    def on_process_shutdown(self, pid: int | None = None, **_: object) -> None:
        """Flush traces, drop the process's live gauges."""
        tracing.shutdown()
        exposition.process_ended(pid or os.getpid())

    def on_heartbeat(self, **_: object) -> None:
        """Show that the worker consumes, and how much scratch space is in use."""
        if self.options.heartbeat_file is not None:
            self.options.heartbeat_file.touch()
        if self.options.spool_used is not None:
            metrics.SPOOL_USED_BYTES.set(self.options.spool_used())
            metrics.SPOOL_LIMIT_BYTES.set(self.options.spool_limit)

    def on_publish(self, headers: dict[str, Any] | None = None, **_: object) -> None:
        """Send our trace along."""
        if headers is not None:
            headers.setdefault(_HEADER, tracing.current_traceparent())

    def on_prerun(self, task_id: str, task: Task[Any, Any], **_: object) -> None:
        """Open a span and bind ids for everything the task logs."""
        stack = ExitStack()
        parent = getattr(task.request, _HEADER, None) or (task.request.headers or {}).get(_HEADER)
        stack.enter_context(tracing.span(task.name, traceparent=parent))
        stack.enter_context(logging.bound(task=task.name, task_id=task_id))
        self._running[task_id] = stack

    def on_postrun(self, task_id: str, **_: object) -> None:
        """Close what ``on_prerun`` opened."""
        stack = self._running.pop(task_id, None)
        if stack is not None:
            stack.close()


def install(options: TelemetryOptions) -> Telemetry:
    """Connect telemetry to this process's Celery signals."""
    telemetry = Telemetry(options)
    telemetry.connect()
    return telemetry
