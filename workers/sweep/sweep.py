"""Walks a registry and queues images whose bundles are missing, stale, broken or drifted.

It repairs what lost events left behind, and is the backfill of a registry that was there before us.
What it queues ranks below every push, and it waits while the intake is full, so pushes never stand
behind it. Where it stopped is kept after every tag.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog

from app.config.model import RegistryConfig, Rule, ServiceConfig
from app.errors import ConfigurationError, NotFound, RegistryError, SourceInvalid
from app.jobs.intake import Intake, IntakeOptions
from app.jobs.push import PushEvent
from app.jobs.triage import triage
from app.observability import metrics
from app.oci.digest import Digest
from app.oci.images import Found, layer_refused, walk
from app.registry.protocols import Registry
from app.registry.repository import Repository
from workers.signing.certificates import CertificateChain
from workers.sweep.drift import DriftCheck
from workers.sweep.findings import Expectation, Finding, examine
from workers.sweep.progress import Progress, ProgressStore

log = structlog.get_logger(__name__)

#: Events of ours that may wait in the intake before the sweep pauses.
ROOM = 200
#: Seconds between looks whether there is room again.
PATIENCE = 1.0
#: Images remembered within one run, so that many tags of one image cost one look.
_REMEMBERED = 100_000

#: Returns the certificate of the signer bound to (registry, repository, tag), or None.
Binding = Callable[[str, str, str | None], CertificateChain | None]


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger knows of an image."""

    #: A job for it waits or runs.
    busy: bool = False
    #: Builder version of the last conversion that succeeded.
    builder_version: str | None = None


#: Returns what is known of (registry, repository, digest, profiles).
Memory = Callable[[str, str, Digest, tuple[str, ...]], Past]


@dataclass(frozen=True, slots=True)
class Report:
    """One thing found, for whoever watches."""

    repository: str
    tag: str
    digest: Digest | None
    platform: str
    finding: Finding


@dataclass(slots=True)
class Sweep:
    """Sweeps one registry. All callables are given by the composition root."""

    config: ServiceConfig
    registry_config: RegistryConfig
    registry: Registry
    intake: Intake
    binding: Binding
    memory: Memory
    #: Events that wait in the intake now.
    waiting: Callable[[], int]
    #: Verifies images found complete; None: nothing is verified.
    drift: DriftCheck | None = None
    dry_run: bool = False
    report: Callable[[Report], None] = lambda _report: None
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def run(
        self,
        store: ProgressStore,
        *,
        repositories: Iterable[str] = (),
        restart: bool = False,
        seconds: float | None = None,
    ) -> Progress:
        """Sweep, going on where an unfinished sweep stopped; stop after ``seconds``.

        ``repositories`` limits it to those. Raises ``RegistryError`` when the registry cannot be
        listed and ``BrokerUnavailable``; a single image's error is counted instead.
        """
        chosen = tuple(sorted(set(repositories)))
        if self.dry_run:
            return self._sweep(self._begin(chosen, None), chosen, lambda _progress: None, seconds)
        with store.running(self.registry.id):
            last = store.load(self.registry.id)
            progress = None if restart else last
            if progress is None or progress.finished or progress.fingerprint != self._print(chosen):
                progress = self._begin(chosen, last)
            return self._sweep(
                progress, chosen, lambda now: store.save(self.registry.id, now), seconds
            )

    def _begin(self, chosen: tuple[str, ...], last: Progress | None) -> Progress:
        now = self.now()
        before = last.number if last else 0
        return Progress(
            id=secrets.token_hex(6),
            started=now,
            updated=now,
            fingerprint=self._print(chosen),
            number=before if chosen else before + 1,
        )

    def _print(self, chosen: tuple[str, ...]) -> str:
        rules = [rule.model_dump_json() for rule in self.config.rules]
        parts = [*rules, self.config.build.model_dump_json(), *chosen]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _sweep(
        self,
        progress: Progress,
        chosen: tuple[str, ...],
        save: Callable[[Progress], None],
        seconds: float | None,
    ) -> Progress:
        deadline = None if seconds is None else self.now() + seconds
        # A counter that first appears with its first event has no increase to alert on.
        metrics.SWEEP_FINDINGS.labels(registry=self.registry.id, finding="drifted")
        seen: set[tuple[str, Digest, str]] = set()
        for repository, tag in self._places(chosen, progress):
            counts = self._tag(repository, tag, progress, seen)
            for name, count in counts.items():
                progress = progress.counted(name, count)
            progress = progress.model_copy(
                update={"repository": repository.name, "tag": tag, "updated": self.now()}
            )
            save(progress)
            # A slice on a worker ends when the intake is full; a person's run waits instead.
            if deadline is not None and (self.now() >= deadline or self.waiting() > ROOM):
                return progress
        progress = progress.model_copy(update={"finished": self.now(), "updated": self.now()})
        save(progress)
        if not self.dry_run and not chosen:
            metrics.SWEEP_LAST_SUCCESS.labels(registry=self.registry.id).set(self.now())
        return progress

    def _places(self, chosen: tuple[str, ...], after: Progress) -> Iterator[tuple[Repository, str]]:
        """Repositories and tags in sorted order, from where the sweep stopped."""
        for name in self._repositories(chosen):
            if name < after.repository:
                continue
            resumed = name == after.repository
            repository = Repository(self.registry, name)
            try:
                tags = sorted(repository.list_tags())
            except NotFound:  # A catalog lists repositories whose last tag is gone.
                continue
            for tag in tags:
                if not (resumed and tag <= after.tag):
                    yield repository, tag

    def _repositories(self, chosen: tuple[str, ...]) -> list[str]:
        named = chosen or self.registry_config.repositories
        if named:
            return sorted(named)
        try:
            return sorted(set(self.registry.list_repositories()))
        except NotFound:
            raise ConfigurationError(
                f"registry {self.registry.id} has no catalog",
                advice="list its repositories in the configuration",
            ) from None

    def _tag(
        self,
        repository: Repository,
        tag: str,
        progress: Progress,
        seen: set[tuple[str, Digest, str]],
    ) -> dict[str, int]:
        event = PushEvent(repository=repository.name, tag=tag)
        rule = triage(self.config, self.registry.id, event)
        if not isinstance(rule, Rule):
            return {"ignored": 1}
        counts = {"tags": 1}
        try:
            for image in self._images(repository, tag, rule):
                mark = (repository.name, image.manifest.digest, rule.name)
                if mark in seen:
                    continue
                if len(seen) < _REMEMBERED:
                    seen.add(mark)
                kind = self._image(repository, tag, rule, image, progress)
                counts[kind] = counts.get(kind, 0) + 1
        except NotFound:
            counts["gone"] = 1
        except (RegistryError, SourceInvalid) as error:
            counts["failed"] = 1
            log.warning(
                "sweep.image_failed",
                registry=self.registry.id, repository=repository.name, tag=tag, error=str(error),
            )  # fmt: skip
        return counts

    def _images(self, repository: Repository, tag: str, rule: Rule) -> Iterator[Found]:
        root = repository.fetch_manifest(tag)
        for found in walk(root, repository.fetch_manifest):
            if not isinstance(found, Found):
                continue
            if found.platform is None or rule.matches_platform(found.platform):
                yield found

    def _image(
        self, repository: Repository, tag: str, rule: Rule, image: Found, progress: Progress
    ) -> str:
        size = sum(layer.size for layer in image.parsed.layers)
        if rule.max_image_bytes is not None and size > rule.max_image_bytes:
            return "too-large"
        if any(layer_refused(layer) for layer in image.parsed.layers):
            return "skipped"
        digest = image.manifest.digest
        profiles = rule.profiles or self.config.defaults.profiles
        past = self.memory(self.registry.id, repository.name, digest, profiles)
        if past.busy:
            return "in-progress"
        expected = Expectation(
            profiles=profiles,
            chain=self.binding(self.registry.id, repository.name, tag),
            builder_version=self.config.build.builder_version,
            known_version=past.builder_version,
        )
        finding = self._finding(repository, image, expected, progress)
        metrics.SWEEP_FINDINGS.labels(registry=self.registry.id, finding=finding.kind).inc()
        self.report(Report(repository.name, tag, digest, str(image.platform or ""), finding))
        if finding.kind != "complete" and not self.dry_run:
            self._queue(repository, tag, digest, finding, progress.id)
        return finding.kind

    def _finding(
        self, repository: Repository, image: Found, expected: Expectation, progress: Progress
    ) -> Finding:
        finding = examine(repository, image, expected)
        digest = image.manifest.digest
        if self.drift is None or finding.kind != "complete":
            return finding
        if not self.drift.due(digest, progress.number):
            return finding
        # What could not be verified keeps the finding: the next turn comes.
        return self.drift.check(repository, digest, expected.profiles, expected.chain) or finding

    def _queue(
        self, repository: Repository, tag: str, digest: Digest, finding: Finding, batch: str
    ) -> None:
        while self.waiting() > ROOM:
            self.sleep(PATIENCE)
        options = IntakeOptions(
            source="sweep",
            priority="low",
            # What is there but wrong is built and attached anew.
            force=finding.kind in ("stale", "broken", "drifted"),
            batch=f"sweep-{batch}",
        )
        event = PushEvent(repository=repository.name, tag=tag, digest=digest)
        self.intake.accept(self.registry.id, "sweep", [event], options)
