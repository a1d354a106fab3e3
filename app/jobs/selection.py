"""Which known jobs a bulk wish means: by registry, repository glob, state and builder version.

``missing`` images are not in the ledger; finding them is the sweep's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.catalog.builders import release_order
from app.catalog.vocabulary import Selection
from app.jobs.batches import BatchItem
from app.jobs.ledger import Ledger
from app.jobs.records import Job
from app.jobs.state import JobState

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Selector:
    """A bulk wish; unset fields select everything."""

    registry: str | None = None
    repository: str = "*"
    #: ``failed``: failed or dead; ``stale``: built by an older builder than ``builder_below``.
    only: Selection = "all"
    builder_below: str | None = None
    #: Last changed at or after, seconds since the epoch.
    since: float | None = None

    def matches(self, job: Job) -> bool:
        """Whether a job is meant."""
        if self.registry is not None and job.registry != self.registry:
            return False
        if not fnmatchcase(job.repository, self.repository):
            return False
        if self.since is not None and job.updated < self.since:
            return False
        if self.only == "failed":
            return job.finished and job.state in (JobState.FAILED, JobState.DEAD)
        if self.only == "stale" or self.builder_below is not None:
            return (
                job.state is JobState.SUCCEEDED
                and self.builder_below is not None
                and release_order(job.builder_version) < release_order(self.builder_below)
            )
        return True


def select(ledger: Ledger, selector: Selector) -> Iterator[Job]:
    """Yield the jobs meant, newest first; reads the ledger page by page."""
    cursor: str | None = None
    while True:
        page = ledger.listing(cursor=cursor, limit=_PAGE)
        yield from (job for job in page.items if selector.matches(job))
        cursor = page.cursor
        if cursor is None:
            return


def item_of(job: Job) -> BatchItem:
    """The image of a job, for a batch; the tag is kept so that the same rule applies."""
    return BatchItem(
        registry=job.registry, repository=job.repository, tag=job.tag, digest=job.digest
    )
