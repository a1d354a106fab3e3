"""The Celery application of the worker process: ``celery -A workers.celery worker``.

Every setting that decides about lost or doubled work is here, with its reason; how they fit
together is in docs/reliability.md. The one idea behind them: a message is a wake-up, the ledger is
the truth, so that redelivery, loss and doubling of messages are all harmless.
"""

from __future__ import annotations

import functools

from celery import Celery, signals
from kombu.entity import Queue

from app.composition import broker_url, open_engine
from app.jobs.messages import SweepRegistries
from app.jobs.queue import MAINTENANCE_QUEUE, QUEUES, CeleryJobQueue
from app.settings import Settings
from workers import tasks, telemetry
from workers.composition import open_context, open_spool
from workers.engine.clock import ReaperClock
from workers.engine.context import WorkerContext

#: Seconds between looks whether a sweep is due or unfinished.
SWEEP_SECONDS = 30.0


def create_worker(settings: Settings) -> Celery:
    """Return the Celery application of a worker."""
    celery = Celery("verilayer", broker=broker_url(settings), set_as_current=False)
    celery.conf.update(_delivery(settings) | _process(settings), beat_schedule=_SCHEDULE)

    @functools.cache
    def context() -> WorkerContext:
        # First asked for by a task, thus after the fork: connections are not shared with siblings.
        return open_context(settings, CeleryJobQueue(celery))

    tasks.register(celery, context)
    _keep_time(celery, settings)
    return celery


_SCHEDULE = {
    # Short slices, so that a sweep never keeps a worker from a push for long; whether one is due at
    # all is the configuration's matter.
    "sweep": {
        "task": SweepRegistries.task_name,
        "schedule": SWEEP_SECONDS,
        "args": [SweepRegistries().model_dump(mode="json")],
        "options": {"queue": MAINTENANCE_QUEUE, "expires": SWEEP_SECONDS},
    },
}


def _delivery(settings: Settings) -> dict[str, object]:
    """How messages are sent, taken and given back."""
    return {
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": MAINTENANCE_QUEUE,
        "task_queues": [
            Queue(name)  # type: ignore[no-untyped-call]
            for name in QUEUES
        ],
        # A killed worker's message comes back at once rather than never. What it worked on comes
        # back by its lease, with our own attempt counter, so a message that kills every worker
        # (out of memory, say) ends as a dead letter instead of circling for ever.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # One message per process: none waits behind a long layer in a busy worker, and none is
        # hoarded where another worker, or an autoscaler, could see it.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        # Must exceed the hard limit, or Redis hands the same wake-up out again while it is worked
        # on: harmless here, but a wasted claim each time.
        "broker_transport_options": {
            "visibility_timeout": max(settings.visibility_timeout, 2 * settings.task_time_limit),
            # Without limits a publish to a dead Redis blocks for ever.
            "socket_timeout": 30.0,
            "socket_connect_timeout": 5.0,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        "broker_connection_timeout": 5.0,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
    }


def _process(settings: Settings) -> dict[str, object]:
    """How a worker's processes run and end."""
    return {
        # The hard limit kills a stuck process, the soft one lets it record why.
        "task_time_limit": settings.task_time_limit,
        "task_soft_time_limit": max(20, settings.task_time_limit - 20),
        # A deploy: running tasks get this long, what is left is handed back.
        "worker_soft_shutdown_timeout": 30.0,
        # Nothing waits in worker memory here (no countdowns), so an idle worker stops at once.
        "worker_enable_soft_shutdown_on_idle": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_concurrency": settings.worker_concurrency,
        # Memory that a library leaks does not add up for ever.
        "worker_max_tasks_per_child": 1000,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
    }


def _keep_time(celery: Celery, settings: Settings) -> None:
    queue = CeleryJobQueue(celery)

    def send() -> None:
        # A round that was not taken in time is superseded by the next.
        queue.reap(expires=settings.reap_seconds * 4)

    engine = open_engine(settings, queue)
    clock = ReaperClock(engine.redis, settings.reap_seconds, send)

    def start(**_: object) -> None:
        clock.start()

    def stop(**_: object) -> None:
        clock.stop()

    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)


def _from_environment() -> Celery:
    settings = Settings()
    telemetry.install(
        telemetry.TelemetryOptions(
            log_format=settings.log_format,
            log_level=settings.log_level,
            metrics_port=settings.metrics_port,
            otlp_endpoint=settings.otlp_endpoint,
            heartbeat_file=settings.heartbeat_file,
            spool_used=open_spool(settings).reserved,
            spool_limit=settings.spool_max_bytes,
        )
    )
    return create_worker(settings)


app = _from_environment()
