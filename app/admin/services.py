"""What the admin routes work with, put together once by the web's composition root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Self

from redis import Redis

from app.config.model import RegistryConfig, ServiceConfig
from app.jobs.audit import AuditTrail
from app.jobs.batches import Batches
from app.jobs.engine import JobEngine
from app.jobs.intake import RedisIntake
from app.jobs.requests import SweepRequests, Verifications
from app.oci.reference import Reference
from app.problems import Problem
from app.registry.coordination import RedisCoordination
from app.registry.factory import open_registry
from app.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class AdminServices:
    """The engine and the records that only people change."""

    engine: JobEngine
    intake: RedisIntake
    batches: Batches
    audit: AuditTrail
    verifications: Verifications
    sweeps: SweepRequests
    config: Callable[[], ServiceConfig]
    redis: Redis
    #: Wakes a worker for a verification, by its id; raises ``BrokerUnavailable``.
    wake_verifier: Callable[[str], None]

    @classmethod
    def over(
        cls,
        engine: JobEngine,
        intake: RedisIntake,
        config: Callable[[], ServiceConfig],
        wake_verifier: Callable[[str], None],
    ) -> Self:
        """Wire the parts."""
        redis = engine.redis
        return cls(
            engine=engine,
            intake=intake,
            batches=Batches(redis),
            audit=AuditTrail(redis),
            verifications=Verifications(redis),
            sweeps=SweepRequests(redis),
            config=config,
            redis=redis,
            wake_verifier=wake_verifier,
        )

    def registry(self, registry_id: str) -> RegistryConfig:
        """Find a configured registry; raises ``Problem`` 404."""
        found = self.config().registry(registry_id)
        if found is None:
            raise Problem(404, "registry-unknown", f"no registry {registry_id!r} is configured")
        return found

    @contextmanager
    def repository(self, config: RegistryConfig, name: str) -> Iterator[Repository]:
        """Open a repository of a configured registry. Raises ``ConfigurationError``."""
        with closing(open_registry(config, RedisCoordination(self.redis))) as registry:
            yield Repository(registry, name)

    def place(self, reference: str) -> tuple[RegistryConfig, Reference]:
        """Map ``host/repository[:tag][@digest]`` to a configured registry; raises ``Problem``."""
        try:
            parsed = Reference.parse(reference)
        except ValueError as error:
            raise Problem(422, "reference-invalid", str(error)) from None
        for registry in self.config().registries:
            if registry.reference_host == parsed.registry:
                return registry, parsed
        raise Problem(
            404, "registry-unknown", f"no registry of host {parsed.registry!r} is configured"
        )
