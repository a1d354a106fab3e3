"""Puts sweeps and prunes together for composition roots: the worker's task and the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from app.config.model import RegistryConfig, ServiceConfig
from app.errors import ConfigurationError
from app.jobs.engine import JobEngine
from app.jobs.intake import RedisIntake
from app.jobs.ledger import Ledger
from app.jobs.records import JobKey
from app.jobs.state import JobState
from app.oci.digest import Digest
from app.registry.protocols import Registry
from workers.signing.certificates import CertificateChain
from workers.signing.opening import open_signer
from workers.sweep.prune import Prune, Remembered
from workers.sweep.sweep import Binding, Memory, Report, Sweep


def registry_config(config: ServiceConfig, registry_id: str) -> RegistryConfig:
    """Find a registry; raises ``ConfigurationError`` that lists what is configured."""
    found = config.registry(registry_id)
    if found is None:
        known = ", ".join(registry.id for registry in config.registries) or "none"
        raise ConfigurationError(f"no registry {registry_id!r} is configured (known: {known})")
    return found


def open_sweep(
    config: ServiceConfig,
    registry: Registry,
    engine: JobEngine,
    state_dir: Path,
    *,
    dry_run: bool = False,
    report: Callable[[Report], None] = lambda _report: None,
) -> Sweep:
    """Return the sweep of an open registry. Raises what opening a signer raises."""
    return Sweep(
        config=config,
        registry_config=registry_config(config, registry.id),
        registry=registry,
        intake=RedisIntake(engine.redis, engine.queue.drain_intake),
        binding=binding(config, state_dir),
        memory=memory(engine.ledger),
        waiting=engine.events.due,
        dry_run=dry_run,
        report=report,
    )


def open_prune(
    config: ServiceConfig,
    registry: Registry,
    engine: JobEngine,
    state_dir: Path,
    *,
    dry_run: bool = False,
) -> Prune:
    """Return the prune of an open registry. Raises what opening a signer raises."""
    return Prune(
        config=config,
        registry_config=registry_config(config, registry.id),
        registry=registry,
        chains=tuple(_chains(config, state_dir).values()),
        binding=binding(config, state_dir),
        remembered=lambda repository: remembered(engine.ledger, registry.id, repository),
        dry_run=dry_run,
    )


def binding(config: ServiceConfig, state_dir: Path) -> Binding:
    """Certificates by the signer that the rules bind to a push."""
    chains = _chains(config, state_dir)

    def bound(registry_id: str, repository: str, tag: str | None) -> CertificateChain | None:
        rule = config.match(registry_id, repository, tag)
        name = (rule.signer if rule else None) or config.defaults.signer
        return chains[name] if name else None

    return bound


def memory(ledger: Ledger) -> Memory:
    """Builder versions of past conversions, as the ledger has them."""

    def version(
        registry_id: str, repository: str, digest: Digest, profiles: tuple[str, ...]
    ) -> str | None:
        key = JobKey(registry=registry_id, repository=repository, digest=digest, profiles=profiles)
        job = ledger.find(key)
        if job is None or job.state is not JobState.SUCCEEDED:
            return None
        return job.builder_version or None

    return version


def remembered(ledger: Ledger, registry_id: str, repository: str) -> Iterator[Remembered]:
    """Bundles of a repository that past jobs attached."""
    cursor: str | None = None
    while True:
        page = ledger.listing(registry=registry_id, repository=repository, cursor=cursor, limit=200)
        for job in page.items:
            for bundle in job.bundles:
                yield Remembered(repository, job.digest, bundle.digest, bundle.artifact_type)
        cursor = page.cursor
        if cursor is None:
            return


def _chains(config: ServiceConfig, state_dir: Path) -> dict[str, CertificateChain]:
    return {signer.name: open_signer(signer, state_dir).chain for signer in config.signers}


def chosen_registries(config: ServiceConfig, wanted: Iterable[str]) -> list[RegistryConfig]:
    """Return the registries named, or all; raises ``ConfigurationError``."""
    names = list(wanted)
    if not names:
        return list(config.registries)
    return [registry_config(config, name) for name in names]
