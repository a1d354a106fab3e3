"""The engine's clocks in one place; docs/reliability.md explains how they fit together."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineTiming:
    """Seconds, unless said otherwise."""

    #: A lease not renewed for this long is lost: a dead worker's job runs again after it.
    lease: float = 30.0
    #: How often a lease is renewed; also how soon a running job notices that it is cancelled.
    heartbeat: float = 2.0
    #: Period of the reaper.
    reap: float = 5.0
    #: First back-off, doubled per attempt up to the cap, then jittered.
    backoff: float = 4.0
    backoff_cap: float = 600.0
    #: Attempts before a job, a layer build or an event is dead.
    attempts: int = 5
    #: An unfinished record that the schedule does not know for this long is scheduled again.
    orphan: float = 30.0
    #: Finished jobs and their history are kept this long.
    retention: float = 30 * 86400.0

    def delay(self, attempt: int, retry_after: float | None = None) -> float:
        """Seconds until the next attempt: exponential, with jitter over its upper half."""
        ceiling: float = min(self.backoff_cap, self.backoff * 2.0 ** max(0, attempt - 1))
        drawn = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return max(drawn, retry_after or 0.0)
