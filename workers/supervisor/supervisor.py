"""Starts children in order, restarts those that exit, stops all in reverse order.

Later children need earlier ones, so a child starts only when its predecessors are ready, unless
its spec says that it does not need them. A child that keeps exiting is restarted after 1, 2, 4 ...
30 seconds; one that stays up for a minute is stable again. A child that exits before it was ever
ready ends everything: a wrong configuration does not get better by repetition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Final

from app.errors import ConfigurationError
from app.observability import exposition, logging
from workers.supervisor.child import Child, ChildSpec

POLL: Final = 0.1
STABLE_AFTER: Final = 60.0
MAX_BACKOFF: Final = 30.0

_log = logging.get_logger(__name__)


class Supervisor:
    """Owns the processes of one ``verilayer up``."""

    def __init__(self, specs: Sequence[ChildSpec], stop: Event) -> None:
        """Take the children in start order; ``stop`` ends ``run`` from a signal handler."""
        self._children = [Child(spec) for spec in specs]
        self._stop = stop

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, call ``on_ready``, watch until stopped, then stop everything.

        Raises ``ConfigurationError`` when a child cannot be started at all.
        """
        try:
            if not self.start():
                return
            on_ready()
            while not self._stop.wait(POLL):
                self._watch()
        finally:
            self.stop()

    def start(self) -> bool:
        """Start all children in order; False when stopping was asked for meanwhile.

        Raises ``ConfigurationError``; the caller calls ``stop`` in any case.
        """
        for position, child in enumerate(self._children):
            before = self._children[:position] if child.spec.needs_predecessors else []
            if not all(self._wait_ready(one) for one in before):
                return False
            self._start_first(child)
        return all(self._wait_ready(child) for child in self._children)

    def stop(self) -> None:
        """Stop all children in reverse order; returns when none is left."""
        for child in reversed(self._children):
            if child.process is None:
                continue
            _log.info("stopping", process=child.spec.name)
            if not child.stop():
                _log.error("had to be killed", process=child.spec.name)

    @property
    def all_running(self) -> bool:
        """Whether every child runs now."""
        return all(child.running for child in self._children)

    def pids(self) -> dict[str, int]:
        """Process ids by name of what runs now."""
        return {
            child.spec.name: child.process.pid
            for child in self._children
            if child.process is not None and child.running
        }

    def _start_first(self, child: Child) -> None:
        _log.info("starting", process=child.spec.name)
        try:
            child.start(time.monotonic())
        except OSError as error:
            raise ConfigurationError(f"{child.spec.name} cannot be started: {error}") from error

    def _wait_ready(self, child: Child) -> bool:
        name, deadline = child.spec.name, child.started_at + child.spec.start_timeout
        while not child.is_ready:
            if self._stop.wait(POLL):
                return False
            if not child.running:
                raise ConfigurationError(
                    f"{name} exited at start ({child.exit_status})", advice=_where(child)
                )
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{name} was not ready after {child.spec.start_timeout:.0f} s",
                    advice=_where(child),
                )
            child.is_ready = child.spec.ready()
        return True

    def _watch(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.running:
                self._settle(child, now)
            elif child.process is not None and child.next_start <= child.started_at:
                self._schedule_restart(child, now)
            elif now >= child.next_start:
                self._restart(child, now)

    def _settle(self, child: Child, now: float) -> None:
        if not child.is_ready and child.spec.ready():
            child.is_ready = True
            _log.info("ready again", process=child.spec.name)
        if child.crashes and now - child.started_at > STABLE_AFTER:
            child.crashes = 0

    def _schedule_restart(self, child: Child, now: float) -> None:
        assert child.process is not None
        exposition.process_ended(child.process.pid)
        pause = min(MAX_BACKOFF, 2.0**child.crashes)
        child.crashes += 1
        child.next_start = now + pause
        _log.error(
            "a process exited and is restarted",
            process=child.spec.name,
            exit=child.exit_status,
            pause=pause,
        )

    def _restart(self, child: Child, now: float) -> None:
        child.stop()  # members of its group that outlived it
        try:
            child.start(now)
        except OSError as error:
            child.next_start = now + MAX_BACKOFF
            _log.error("restart failed", process=child.spec.name, error=str(error))


def _where(child: Child) -> str:
    log = child.spec.log
    return f"see {log}" if log is not None else "see the lines above"
