"""The scheduled sweep: a short slice for each registry whose sweep is due or unfinished."""

from __future__ import annotations

import structlog

from app.config.model import RegistryConfig
from app.errors import ConfigurationError, RegistryError
from app.jobs.requests import SweepRequests, Verifications
from workers.engine.context import WorkerContext
from workers.sweep.drift import PATIENCE
from workers.sweep.opening import open_drift_check, open_sweep
from workers.sweep.progress import Progress, ProgressStore, SweepRunning

log = structlog.get_logger(__name__)

#: Seconds of one slice; a worker is free for pushes again after it and the image in hand.
SLICE = 10.0
#: Seconds until a registry that could not be swept is tried again: it may be down for hours, and
#: waiting for it costs a worker.
PUT_OFF = 900


def sweep_due(context: WorkerContext, seconds: float = SLICE) -> list[Progress]:
    """Sweep a slice of every registry whose turn it is. Raises ``BrokerUnavailable``."""
    config = context.current().config
    requests = SweepRequests(context.engine.redis)
    done = []
    for registry in config.registries:
        asked = requests.asked(registry.id)
        if asked or (config.sweep.enabled and _due(context, registry)):
            requests.taken(registry.id)
            progress = _slice(context, registry, seconds)
            done += [progress] if progress else []
    return done


def _due(context: WorkerContext, registry: RegistryConfig) -> bool:
    store = ProgressStore(context.engine.redis)
    if store.is_put_off(registry.id):
        return False
    last = store.load(registry.id)
    if last is None or last.finished is None:
        return True
    hours = context.current().config.sweep.interval_hours
    return context.engine.now() - last.started >= hours * 3600


def _slice(context: WorkerContext, registry: RegistryConfig, seconds: float) -> Progress | None:
    active = context.current()
    client = context.registry(registry)
    drift = open_drift_check(
        active.config,
        context.spool,
        Verifications(context.engine.redis),
        # A check that outlasts the task would be begun again for ever.
        patience=min(PATIENCE, context.task_seconds / 2),
    )
    sweep = open_sweep(
        active.config, client, context.engine, active.authority.signer_for, drift=drift
    )
    store = ProgressStore(context.engine.redis)
    try:
        progress = sweep.run(store, seconds=seconds)
    except SweepRunning:
        return None
    except (RegistryError, ConfigurationError) as error:
        log.warning("sweep.put_off", registry=registry.id, seconds=PUT_OFF, error=str(error))
        store.put_off(registry.id, PUT_OFF)
        return None
    log.info(
        "sweep.slice",
        registry=registry.id, finished=progress.finished is not None, **progress.counts,
    )  # fmt: skip
    return progress
