"""Puts sweeps and prunes together for composition roots: the worker's task and the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from app.catalog.vocabulary import VerifyDepth
from app.config.model import RegistryConfig, ServiceConfig
from app.errors import ConfigurationError
from app.jobs.engine import JobEngine
from app.jobs.intake import RedisIntake
from app.jobs.ledger import Ledger
from app.jobs.records import JobKey
from app.jobs.requests import Verifications
from app.jobs.state import JobState
from app.oci.digest import Digest
from app.registry.protocols import Registry
from workers.layers.spool import Spool
from workers.signing.authority import SigningAuthority
from workers.signing.certificates import CertificateChain
from workers.signing.signer import RootHashSigner
from workers.sweep.drift import PATIENCE, DriftCheck
from workers.sweep.prune import Prune, Remembered
from workers.sweep.sweep import Binding, Memory, Past, Report, Sweep

#: ``SigningAuthority.signer_for``.
SignerFor = Callable[[str, str, str | None], RootHashSigner | None]


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
    signer_for: SignerFor,
    *,
    drift: DriftCheck | None = None,
    dry_run: bool = False,
    report: Callable[[Report], None] = lambda _report: None,
) -> Sweep:
    """Return the sweep of an open registry.

    ``signer_for`` is ``SigningAuthority.signer_for``; only the signer's certificate is used.
    ``drift`` is ``open_drift_check``, or None where nothing is to be verified.
    """
    return Sweep(
        config=config,
        registry_config=registry_config(config, registry.id),
        registry=registry,
        intake=RedisIntake(engine.redis, engine.queue.drain_intake),
        binding=_certificates(signer_for),
        memory=memory(engine.ledger),
        waiting=engine.events.due,
        drift=drift,
        dry_run=dry_run,
        report=report,
    )


def open_drift_check(
    config: ServiceConfig,
    spool: Spool,
    records: Verifications | None,
    *,
    depth: VerifyDepth | None = None,
    patience: float = PATIENCE,
) -> DriftCheck | None:
    """Return what the configuration asks for; with ``depth``, a check of every image."""
    wanted = depth or config.sweep.verify
    if wanted == "off":
        return None
    return DriftCheck(
        wanted,
        every=1 if depth else config.sweep.verify_every,
        build=config.build,
        spool=spool,
        records=records,
        patience=patience,
    )


def open_prune(
    config: ServiceConfig,
    registry: Registry,
    engine: JobEngine,
    authority: SigningAuthority,
    *,
    dry_run: bool = False,
) -> Prune:
    """Return the prune of an open registry."""
    return Prune(
        config=config,
        registry_config=registry_config(config, registry.id),
        registry=registry,
        chains=authority.chains(),
        binding=_certificates(authority.signer_for),
        remembered=lambda repository: remembered(engine.ledger, registry.id, repository),
        dry_run=dry_run,
    )


def _certificates(signer_for: SignerFor) -> Binding:
    def bound(registry_id: str, repository: str, tag: str | None) -> CertificateChain | None:
        signer = signer_for(registry_id, repository, tag)
        return signer.chain if signer else None

    return bound


def memory(ledger: Ledger) -> Memory:
    """What the ledger knows of past and present conversions."""

    def past(registry_id: str, repository: str, digest: Digest, profiles: tuple[str, ...]) -> Past:
        key = JobKey(registry=registry_id, repository=repository, digest=digest, profiles=profiles)
        job = ledger.find(key)
        if job is None:
            return Past()
        succeeded = job.state is JobState.SUCCEEDED
        return Past(
            busy=not job.finished,
            builder_version=(job.builder_version or None) if succeeded else None,
        )

    return past


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


def chosen_registries(config: ServiceConfig, wanted: Iterable[str]) -> list[RegistryConfig]:
    """Return the registries named, or all; raises ``ConfigurationError``."""
    names = list(wanted)
    if not names:
        return list(config.registries)
    return [registry_config(config, name) for name in names]
