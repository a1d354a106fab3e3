"""From settings to what a worker, or a command that acts as one, works with.

Signers, registries and rules follow from the configuration file, which ``WorkerContext`` watches.
"""

from __future__ import annotations

from pathlib import Path

from app.composition import open_engine, open_queue
from app.config.file import load_config
from app.config.model import ServiceConfig
from app.jobs.queue import JobQueue
from app.settings import Settings
from workers.engine.context import WorkerContext
from workers.layers.spool import Spool


def open_context(settings: Settings, queue: JobQueue) -> WorkerContext:
    """Open a worker's connections, spool and configuration.

    Raises ``ConfigurationError``, ``SigningRefused``, ``SignerUnavailable``.
    """
    return WorkerContext(
        # A worker can wait for a Redis that restarts; whoever answers a webhook cannot.
        open_engine(settings, queue, retries=3),
        open_spool(settings),
        config_file=settings.config_file,
        state=settings.state_dir,
        evidence_key=settings.evidence_key_file,
        task_seconds=settings.task_time_limit,
    )


def context_from_environment() -> WorkerContext:
    """Open what ``VERILAYER_*`` names, for a command beside the workers. Raises the same."""
    settings = Settings()
    return open_context(settings, open_queue(settings))


def open_spool(settings: Settings) -> Spool:
    """Return the spool that all workers of this host share."""
    return Spool(settings.spool_dir or settings.state_dir / "spool", settings.spool_max_bytes)


def service_configuration(path: Path | None) -> ServiceConfig:
    """Read a configuration file, by default the one ``VERILAYER_CONFIG_FILE`` names."""
    return load_config(path or Settings().config_file)
