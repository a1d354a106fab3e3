"""Keeps a lease alive while a worker works, and tells the worker when to stop.

A thread renews the lease; the worker asks ``stopping`` between chunks. A lease that could not be
renewed for its whole length is treated as lost even if Redis cannot say so: somebody else may have
the work by now.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import structlog

from app.errors import BrokerUnavailable, Cancelled
from app.jobs.schedule import Beat, Lease, Schedule
from app.jobs.store import LeaseLost
from app.jobs.timing import EngineTiming

log = structlog.get_logger(__name__)


class Pulse:
    """A context manager around the work that a lease allows."""

    def __init__(self, schedule: Schedule, lease: Lease, timing: EngineTiming) -> None:
        self.lease = lease
        self._schedule = schedule
        self._timing = timing
        self._done = threading.Event()
        self._lost = threading.Event()
        self._cancel = threading.Event()
        self._progress: dict[str, object] = {}
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def lost(self) -> bool:
        """Somebody else may hold the lease."""
        return self._lost.is_set()

    @property
    def cancelled(self) -> bool:
        """A person wants the work to stop."""
        return self._cancel.is_set()

    def stopping(self) -> bool:
        """Whether to stop, for whatever reason; cheap enough to ask for every chunk."""
        return self._lost.is_set() or self._cancel.is_set()

    def wait_stopping(self, done: threading.Event) -> bool:
        """Wait until ``stopping``, or until ``done`` is set; tells which."""
        while not done.wait(0.2):
            if self.stopping():
                return True
        return False

    def report(self, phase: str, done: int = 0, size: int = 0) -> None:
        """Note how far the work is; the next heartbeat shows it."""
        self._progress = {"phase": phase, "done": done, "size": size}

    def check(self) -> None:
        """Ask Redis now, before an effect that others see. Raises ``LeaseLost``, ``Cancelled``."""
        beat = self._schedule.heartbeat(self.lease, self._progress)
        self._note(beat)
        if beat is Beat.LOST:
            raise LeaseLost(f"{self.lease.unit} is held by another worker")
        if beat is Beat.CANCEL:
            raise Cancelled("a person cancelled it")

    def _note(self, beat: Beat) -> None:
        if beat is Beat.LOST:
            self._lost.set()
            return
        self._renewed = time.monotonic()
        if beat is Beat.CANCEL:
            self._cancel.set()

    def _beat(self) -> None:
        while not self._done.wait(self._timing.heartbeat):
            try:
                self._note(self._schedule.heartbeat(self.lease, self._progress))
            except BrokerUnavailable as error:
                if time.monotonic() - self._renewed > self._timing.lease:
                    log.warning("lease.unrenewed", unit=self.lease.unit, error=str(error))
                    self._lost.set()
            if self._lost.is_set():
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
