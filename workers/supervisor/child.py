"""One supervised process: how it is started, when it is ready, how it is stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_STANDARD_ERROR = 2


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. Times are seconds."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    #: Whether the process serves; called often, must return quickly and never raise.
    ready: Callable[[], bool]
    start_timeout: float = 120.0
    #: Start only when all before it are ready; otherwise together with the one before.
    needs_predecessors: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 30.0
    #: Standard output and error go here; both to our standard error when None, because our own
    #: standard output is for results.
    log: Path | None = None


@dataclass(slots=True)
class Child:
    """A spec with its running process; each lives in a process group of its own.

    A group of its own keeps a terminal's Ctrl-C away from it: the supervisor alone decides the
    order of stopping. Should the supervisor be killed, the kernel sends the stop signal instead.
    """

    spec: ChildSpec
    process: subprocess.Popen[bytes] | None = None
    #: Exits since it was last stable; decides the pause before the next start.
    crashes: int = 0
    started_at: float = 0.0
    next_start: float = 0.0
    is_ready: bool = field(default=False)

    def start(self, now: float) -> None:
        """Start the process. Raises ``OSError`` when the program cannot be run."""
        output = None if self.spec.log is None else self.spec.log.open("ab")
        try:
            self.process = subprocess.Popen(
                self.spec.argv,
                env=dict(self.spec.environment),
                stdin=subprocess.DEVNULL,
                stdout=_STANDARD_ERROR if output is None else output,
                stderr=None if output is None else subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_follow_parent(self.spec.stop_signal),
            )
        finally:
            if output is not None:
                output.close()
        self.started_at = now
        self.is_ready = False

    @property
    def running(self) -> bool:
        """Whether the process exists and has not exited."""
        return self.process is not None and self.process.poll() is None

    @property
    def exit_status(self) -> str:
        """The last exit in words: ``status 1`` or ``signal SIGKILL``."""
        code = None if self.process is None else self.process.returncode
        if code is None:
            return "not exited"
        return f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def stop(self) -> bool:
        """Ask the process to stop, then kill its group; True if it stopped by ``stop_timeout``."""
        if self.process is None:
            return True
        polite = True
        if self.running:
            self.process.send_signal(self.spec.stop_signal)
            try:
                self.process.wait(self.spec.stop_timeout)
            except subprocess.TimeoutExpired:
                polite = False
        self._kill_group()
        self.process.wait()
        return polite

    def _kill_group(self) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError, PermissionError):  # the group is empty
            os.killpg(self.process.pid, signal.SIGKILL)


def _follow_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None  # not Linux: an orphan is then left to the next start's lock
    number = int(stop_signal)

    def follow() -> None:
        prctl(_PR_SET_PDEATHSIG, number)

    return follow
