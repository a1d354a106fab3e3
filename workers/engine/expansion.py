"""From an accepted event to jobs: rule, digest, platform manifests; reads manifests only.

The loop guard has layers, cheapest first: the robot's own pushes, fallback tags, what the dialect
tells of the manifest, digests this service pushed, and at last the manifest itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.config.model import Rule, ServiceConfig
from app.jobs.engine import JobEngine
from app.jobs.intake import IntakeRecord
from app.jobs.keys import key
from app.jobs.pending import EventOutcome
from app.jobs.records import Job, JobKey
from app.jobs.scripts import broker_errors
from app.observability import metrics
from app.oci.digest import Digest
from app.oci.images import Found, Skipped, walk
from app.registry.repository import Repository

#: Tags of the referrers fallback and of other signing tools (registries.md section 6).
_DERIVED_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{32,}(?:\.[A-Za-z0-9_.-]+)?\Z")
#: How long a pushed digest is remembered, in seconds; its event comes within moments.
_OWN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Tree:
    """What a root manifest holds; immutable, as its digest is."""

    images: tuple[tuple[Digest, str], ...]
    skipped: dict[str, str]


class Expansion:
    """Turns events into jobs."""

    def __init__(self, engine: JobEngine, config: ServiceConfig) -> None:
        self._engine = engine
        self._config = config

    def guard(self, record: IntakeRecord) -> EventOutcome | None:
        """Decide what can be decided without the registry; None: look at the manifest."""
        event = record.event
        config = self._config.registry(record.registry)
        if config is None:
            return EventOutcome(outcome="ignored", reason="unknown-registry")
        dropped = None
        if config.actor is not None and event.actor == config.actor:
            dropped = "actor"
        elif event.tag is not None and _DERIVED_TAG.match(event.tag):
            dropped = "derived-tag"
        elif event.has_subject:
            dropped = "referrer"
        elif event.digest is not None and self._own(record.registry, event.digest):
            dropped = "own-push"
        if dropped is not None:
            metrics.LOOP_DROPS.labels(dropped).inc()
            return EventOutcome(outcome="dropped", reason=dropped)
        if event.artifact_type is not None:
            return EventOutcome(outcome="skipped", reason="artifact")
        rule = self.rule(record)
        if rule is None:
            return EventOutcome(outcome="ignored", reason="no-rule")
        if rule.action == "ignore":
            return EventOutcome(outcome="ignored", reason="rule", message=rule.name)
        return None

    def rule(self, record: IntakeRecord) -> Rule | None:
        """The rule that applies to an event."""
        event = record.event
        return self._config.match(record.registry, event.repository, event.tag)

    def expand(self, record: IntakeRecord, repository: Repository) -> EventOutcome:
        """Resolve the event at once and submit a job per platform manifest.

        ``repository`` is the event's, opened. Raises registry errors and ``SourceInvalid``.
        """
        rule = self.rule(record)
        assert rule is not None
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
            return EventOutcome(outcome="jobs", jobs=tuple(jobs), skipped=skipped)
        reason = next(iter(skipped.values()), "no-image")
        if reason == "referrer":
            metrics.LOOP_DROPS.labels("manifest").inc()
            return EventOutcome(outcome="dropped", reason=reason, skipped=skipped)
        return EventOutcome(outcome="skipped", reason=reason, skipped=skipped)

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

    def _own(self, registry: str, digest: Digest) -> bool:
        with broker_errors("checking for own pushes"):
            return bool(self._engine.redis.exists(key("own", registry, digest)))


def remember_own(engine: JobEngine, registry: str, digests: Sequence[Digest]) -> None:
    """Note digests before they are pushed, so that their events are dropped early."""
    with broker_errors("noting own pushes"):
        for digest in digests:
            engine.redis.set(key("own", registry, digest), 1, ex=_OWN_SECONDS)


def read_tree(repository: Repository, digest: Digest) -> Tree:
    """Read everything below a manifest. Raises registry errors and ``SourceInvalid``."""
    root = repository.fetch_manifest(digest)
    images: list[tuple[Digest, str]] = []
    skipped: dict[str, str] = {}
    for one in walk(root, repository.fetch_manifest):
        if isinstance(one, Found):
            images.append((one.manifest.digest, str(one.platform) if one.platform else ""))
        elif isinstance(one, Skipped):
            skipped[one.digest] = one.reason
    return Tree(tuple(images), skipped)


def _wanted(rule: Rule, asked: Sequence[str], platform: str) -> bool:
    globs = asked or rule.platforms
    return any(fnmatchcase(platform, glob) for glob in globs)
