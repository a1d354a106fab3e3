"""Does what a bundle refers to still hold what was signed?

``findings`` judges manifests, presence and signatures. This check reads: it verifies a share of the
images found complete as ``verilayer verify`` does, against the key bound to them, so that in the
course of some sweeps every image has its turn. Only bundles of the profiles that the rule wants are
looked at; what other rules or parties attached is theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from app.catalog.profiles import ProfileName
from app.catalog.vocabulary import VerifyDepth
from app.config.model import BuildConfig
from app.errors import BrokerUnavailable, VerilayerError
from app.jobs.requests import Verifications
from app.observability import metrics
from app.oci.digest import Digest
from app.registry.repository import Repository
from workers.layers.spool import Spool
from workers.signing.certificates import CertificateChain
from workers.sweep.findings import Finding
from workers.verification.rebuild import Rebuild
from workers.verification.report import VerificationReport
from workers.verification.trust import Trust
from workers.verification.verify import Options, verify_reference

log = structlog.get_logger(__name__)

#: Seconds that building the layers of one image anew may take.
PATIENCE = 900.0
#: How a check ends; ``failed``: the image could not be verified.
CheckResult = Literal["verified", "drifted", "failed"]
#: Who asked, in the records that the admin API shows.
ACTOR = "sweep"


@dataclass(slots=True)
class DriftCheck:
    """Verifies images during one sweep or a slice of it."""

    depth: VerifyDepth
    #: Of so many images, one has its turn in each sweep.
    every: int
    build: BuildConfig
    spool: Spool
    #: Where reports go; None: nowhere, as in a dry run.
    records: Verifications | None
    patience: float = PATIENCE
    clock: Callable[[], float] = time.monotonic
    _rebuilds: dict[Repository, Rebuild] = field(default_factory=dict)
    _deadline: float = 0.0

    def due(self, digest: Digest, sweep: int) -> bool:
        """Whether it is an image's turn in the ``sweep``-th sweep: a pure function of both."""
        return (int(digest.hex[:8], 16) + sweep) % self.every == 0

    def check(
        self,
        repository: Repository,
        digest: Digest,
        profiles: tuple[ProfileName, ...],
        chain: CertificateChain | None,
    ) -> Finding | None:
        """Verify one image; None when that could not be done, which is logged.

        Raises ``BrokerUnavailable``.
        """
        self._deadline = self.clock() + self.patience
        options = Options(
            trust=Trust() if chain is None else Trust((chain.leaf, *chain.intermediates)),
            expected=profiles,
            signatures_required=chain is not None,
            only_expected=True,
        )
        rebuild = self._rebuild(repository) if self.depth == "deep" else None
        try:
            report = verify_reference(repository, digest, options, rebuild)
        except BrokerUnavailable:
            raise
        except VerilayerError as error:
            self._count(repository, "failed")
            log.warning(
                "sweep.verification_failed",
                registry=repository.registry.id, repository=repository.name, digest=digest,
                code=error.code, error=str(error),
            )  # fmt: skip
            return None
        self._count(repository, "verified" if report.ok else "drifted")
        self._record(repository, digest, report)
        if report.ok:
            return Finding("complete", f"verified ({self.depth})")
        first, *others = [
            f"layer {found.layer}: {found.message}" if found.layer else found.message
            for _, _, found in report.failures()
        ] or ["no image was found"]
        more = f" (and {len(others)} more)" if others else ""
        log.error(
            "sweep.drifted",
            registry=repository.registry.id,
            repository=repository.name,
            digest=digest,
            reason=first + more,
        )
        return Finding("drifted", first + more)

    def _rebuild(self, repository: Repository) -> Rebuild:
        if repository not in self._rebuilds:
            self._rebuilds[repository] = Rebuild(
                repository,
                self.build,
                self.spool,
                cancelled=lambda: self.clock() > self._deadline,
            )
        return self._rebuilds[repository]

    def _record(self, repository: Repository, digest: Digest, report: VerificationReport) -> None:
        """Keep failures, and what lifts an earlier one: a record of every success is too much."""
        if self.records is None:
            return
        place = repository.registry.id, repository.name
        if report.ok and self.records.latest(*place, digest) is None:
            return
        asked = self.records.create(*place, digest, deep=report.deep, actor=ACTOR)
        self.records.change(asked, state="done", ok=report.ok, report=report.to_json())

    def _count(self, repository: Repository, result: CheckResult) -> None:
        metrics.DRIFT_CHECKS.labels(repository.registry.id, self.depth, result).inc()
