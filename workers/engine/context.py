"""What a worker process works with, opened once and replaced when the configuration changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from app.config.file import load_config
from app.config.live import Live
from app.config.model import RegistryConfig, Rule, ServiceConfig
from app.errors import ConfigurationError
from app.jobs.engine import JobEngine
from app.jobs.schedule import Caps, caps_of
from app.registry.coordination import RedisCoordination
from app.registry.factory import open_registry
from app.registry.protocols import Registry
from app.registry.repository import Repository
from workers.artifacts.combinations import check_profiles
from workers.layers.spool import Spool
from workers.signing.authority import SigningAuthority
from workers.signing.opening import open_authority
from workers.signing.seals import open_seals


@dataclass(frozen=True, slots=True)
class WorkerConfiguration:
    """What follows from one version of the configuration file."""

    config: ServiceConfig
    authority: SigningAuthority
    caps: Caps

    def registry(self, registry_id: str) -> RegistryConfig:
        """Raises ``ConfigurationError`` for a registry that is not configured any more."""
        found = self.config.registry(registry_id)
        if found is None:
            raise ConfigurationError(f"registry {registry_id} is not configured")
        return found

    def rule(self, name: str) -> Rule | None:
        """Find a rule by name; it may be gone since the job was made."""
        return next((rule for rule in self.config.rules if rule.name == name), None)


class WorkerContext:
    """Connections and configuration of one worker process."""

    def __init__(
        self,
        engine: JobEngine,
        spool: Spool,
        *,
        config_file: Path,
        state: Path,
        evidence_key: Path | None,
        task_seconds: float,
    ) -> None:
        """``state`` is the folder of keys and audit log; a task is stopped after ``task_seconds``.

        ``evidence_key`` is the key file of seals, by default one in ``state``.

        Raises ``ConfigurationError``, ``SigningRefused``, ``SignerUnavailable``.
        """
        self.engine = engine
        self._coordination = RedisCoordination(engine.redis)
        self.spool = spool
        self.task_seconds = task_seconds
        self._state = state
        self._seals = open_seals(evidence_key, state)
        self._live = Live(config_file, self._load)
        self._lock = threading.Lock()
        self._registries: dict[str, tuple[RegistryConfig, Registry]] = {}

    def current(self) -> WorkerConfiguration:
        """Return the configuration in force, after a look at the file."""
        self._live.poll()
        return self._live.current

    def registry(self, config: RegistryConfig) -> Registry:
        """Return the client of a registry; a new one when its configuration changed."""
        with self._lock:
            known = self._registries.get(config.id)
            if known is not None and known[0] == config:
                return known[1]
            client = open_registry(config, self._coordination)
            # The old client is not closed: another thread may be reading from it.
            self._registries[config.id] = (config, client)
            return client

    def repository(self, config: RegistryConfig, name: str) -> Repository:
        """Return a repository of a registry, as ``registry`` opens it."""
        return Repository(self.registry(config), name)

    def _load(self, path: Path) -> WorkerConfiguration:
        config = load_config(path)
        check_profiles(config)
        return WorkerConfiguration(
            config, open_authority(config, self._state, self._seals), caps_of(config)
        )
