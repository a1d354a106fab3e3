"""From an accepted event to jobs: rule, digest, platform manifests; reads manifests only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

from app.config.model import Rule, ServiceConfig
from app.jobs.engine import JobEngine
from app.jobs.intake import IntakeRecord
from app.jobs.loopguard import drop_by_manifest
from app.jobs.pending import EventOutcome
from app.jobs.reasons import Drop, Outcome
from app.jobs.records import Job, JobKey
from app.jobs.triage import triage
from app.observability import metrics
from app.oci.digest import Digest
from app.oci.images import Found, Reason, Skipped, walk
from app.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Tree:
    """What a root manifest holds; immutable, as its digest is."""

    images: tuple[tuple[Digest, str], ...]
    skipped: dict[str, Reason]


class Expansion:
    """Turns events into jobs."""

    def __init__(self, engine: JobEngine, config: ServiceConfig) -> None:
        self._engine = engine
        self._config = config

    def triage(self, record: IntakeRecord) -> Rule | EventOutcome:
        """Return the rule that converts an event, or what becomes of it without its registry.

        Raises ``BrokerUnavailable``.
        """
        pushed = partial(self._engine.own_pushes.knows, record.registry)
        found = triage(self._config, record.registry, record.event, pushed)
        if isinstance(found, Rule):
            return found
        if isinstance(found.reason, Drop):
            metrics.LOOP_DROPS.labels(found.reason).inc()
        return EventOutcome(outcome=found.outcome, reason=found.reason, message=found.rule)

    def expand(self, record: IntakeRecord, rule: Rule, repository: Repository) -> EventOutcome:
        """Resolve an event that a rule converts, and submit a job per platform manifest.

        ``repository`` is the event's, opened. Raises registry errors and ``SourceInvalid``.
        """
        event = record.event
        digest = event.digest or repository.resolve(event.tag or "latest").digest
        tree = read_tree(repository, digest)
        skipped = dict(tree.skipped)
        jobs: list[str] = []
        for image, platform in tree.images:
            if platform and not _wanted(rule, record.options.platforms, platform):
                skipped[image] = "platform"
                continue
            job = self._job(record, rule, digest, image, platform)
            jobs.append(self._engine.ledger.submit(job).job.id)
        if jobs:
            return EventOutcome(outcome=Outcome.JOBS, jobs=tuple(jobs), skipped=skipped)
        drop = drop_by_manifest(skipped.values())
        if drop is not None:
            metrics.LOOP_DROPS.labels(drop).inc()
            return EventOutcome(outcome=Outcome.DROPPED, reason=drop, skipped=skipped)
        reason = next(iter(skipped.values()), "no-image")
        return EventOutcome(outcome=Outcome.SKIPPED, reason=reason, skipped=skipped)

    def _job(
        self, record: IntakeRecord, rule: Rule, root: Digest, image: Digest, platform: str
    ) -> Job:
        options = record.options
        profiles = options.profiles or rule.profiles or self._config.defaults.profiles
        job_key = JobKey(
            registry=record.registry,
            repository=record.event.repository,
            digest=image,
            profiles=tuple(profiles),
        )
        now = self._engine.now()
        return Job(
            # A trial run is a job of its own: a push must not be answered by one.
            id=job_key.id + ("d" if options.dry_run else ""),
            registry=record.registry,
            repository=record.event.repository,
            digest=image,
            profiles=tuple(profiles),
            tag=record.event.tag,
            platform=platform,
            parent=root if root != image else None,
            rule=rule.name,
            signer=rule.signer or self._config.defaults.signer,
            force=options.force,
            dry_run=options.dry_run,
            batch=options.batch,
            builder_version=self._config.build.builder_version,
            source=options.source,
            priority=options.priority or rule.priority,
            created=now,
            updated=now,
            submitted=record.received,
            received=record.received,
            traceparent=record.traceparent,
        )


def read_tree(repository: Repository, digest: Digest) -> Tree:
    """Read everything below a manifest. Raises registry errors and ``SourceInvalid``."""
    root = repository.fetch_manifest(digest)
    images: list[tuple[Digest, str]] = []
    skipped: dict[str, Reason] = {}
    for one in walk(root, repository.fetch_manifest):
        if isinstance(one, Found):
            images.append((one.manifest.digest, str(one.platform) if one.platform else ""))
        elif isinstance(one, Skipped):
            skipped[one.digest] = one.reason
    return Tree(tuple(images), skipped)


def _wanted(rule: Rule, asked: Sequence[str], platform: str) -> bool:
    globs = asked or rule.platforms
    return any(fnmatchcase(platform, glob) for glob in globs)
