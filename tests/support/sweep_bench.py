"""A real registry and a real Redis with what a sweep needs; no worker runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.config.model import ServiceConfig
from app.jobs.connection import connect
from app.jobs.engine import JobEngine
from app.jobs.queue import CeleryJobQueue
from app.registry.protocols import Registry
from tests.support.attached_bundle import signer_config
from tests.support.certificates import Identity
from tests.support.redis_server import RedisServer
from tests.support.registries import RunningRegistry
from workers.signing.opening import open_authority
from workers.signing.seals import EvidenceSeals
from workers.sweep.opening import open_prune, open_sweep
from workers.sweep.progress import ProgressStore
from workers.sweep.sweep import Report, Sweep


class Bench:
    """One registry, one Redis database of its own, and what a sweep needs."""

    def __init__(
        self, server: RunningRegistry, redis: RedisServer, folder: Path, signer: Identity
    ) -> None:
        self.server, self.redis, self.folder = server, redis, folder
        self.client = connect(redis.url)
        self.client.flushdb()
        self.registry: Registry = server.open()
        self.engine = JobEngine.over(self.client, CeleryJobQueue.connect(redis.url))
        self.config = self.configured(signer)
        self.store = ProgressStore(self.client)

    def configured(self, signer: Identity, **rule: Any) -> ServiceConfig:
        registry = self.server.config()
        named = signer_config(self.folder, signer)
        return ServiceConfig.model_validate(
            {
                "registries": [registry.model_dump()],
                "signers": [named.model_dump()],
                "defaults": {"signer": named.name},
                "rules": [{"name": "all", **rule}],
            }
        )

    def sweep(self, **fields: Any) -> Sweep:
        authority = open_authority(self.config, self.folder, EvidenceSeals.of_this_process())
        return open_sweep(self.config, self.registry, self.engine, authority.signer_for, **fields)

    def finding(self, repository: str) -> tuple[str, str]:
        found: list[Report] = []
        self.sweep(dry_run=True, report=found.append).run(self.store, repositories=[repository])
        (one,) = found
        return one.finding.kind, one.finding.reason

    def prune(self, repository: str, **fields: Any) -> list[tuple[str, str]]:
        prune = open_prune(
            self.config,
            self.registry,
            self.engine,
            open_authority(self.config, self.folder, EvidenceSeals.of_this_process()),
            **fields,
        )
        return [(each.why, each.bundle) for each in prune.run([repository])]
