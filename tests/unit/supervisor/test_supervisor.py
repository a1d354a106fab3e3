from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.errors import ConfigurationError
from workers.supervisor import supervisor as supervision
from workers.supervisor.child import ChildSpec
from workers.supervisor.supervisor import Supervisor

#: Writes its start and its end into a log; ignores Ctrl-C sent to its terminal's group.
PROGRAM = """
import os, signal, sys, time
name, log = sys.argv[1:3]
def note(word):
    with open(log, "a") as out:
        out.write(f"{name} {word} {os.getpid()}\\n")
def stop(*_):
    note("stop")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note("start")
while True:
    time.sleep(0.05)
"""


class Log:
    def __init__(self, path: Path) -> None:
        self.path = path

    def words(self, name: str | None = None) -> list[tuple[str, str, int]]:
        if not self.path.exists():
            return []
        rows = [line.split() for line in self.path.read_text().splitlines()]
        return [(row[0], row[1], int(row[2])) for row in rows if name in (None, row[0])]

    def spec(self, name: str, program: str = PROGRAM, **options: float) -> ChildSpec:
        seen = lambda: bool(self.words(name))  # noqa: E731
        return ChildSpec(
            name=name,
            argv=(sys.executable, "-c", program, name, str(self.path)),
            environment=dict(os.environ),
            ready=seen,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def started(supervisor: Supervisor, stop: threading.Event) -> threading.Thread:
    ready = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(ready.set,))
    thread.start()
    assert ready.wait(30)
    return thread


def test_children_start_in_order_and_stop_in_reverse(log: Log) -> None:
    stop = threading.Event()
    thread = started(Supervisor([log.spec("one"), log.spec("two")], stop), stop)
    stop.set()
    thread.join(30)
    assert [(name, word) for name, word, _ in log.words()] == [
        ("one", "start"),
        ("two", "start"),
        ("two", "stop"),
        ("one", "stop"),
    ]
    assert not any(psutil.pid_exists(pid) for _, word, pid in log.words() if word == "start")


def test_a_killed_child_is_restarted(log: Log) -> None:
    stop = threading.Event()
    supervisor = Supervisor([log.spec("one"), log.spec("two")], stop)
    thread = started(supervisor, stop)
    first = supervisor.pids()["one"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(log.words("one")) == 2)
    assert supervisor.pids()["one"] != first
    assert len(log.words("two")) == 1
    stop.set()
    thread.join(30)


def test_a_child_that_keeps_exiting_is_restarted_more_and_more_slowly(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(
        supervision._log, "error", lambda _event, **fields: pauses.append(fields["pause"])
    )
    stop = threading.Event()
    dying = PROGRAM.replace("while True:\n    time.sleep(0.05)", "time.sleep(0.5)")
    thread = started(Supervisor([log.spec("dying", dying)], stop), stop)
    wait_for(lambda: len(pauses) >= 3)
    stop.set()
    thread.join(30)
    assert pauses[:3] == [1.0, 2.0, 4.0]


def test_one_that_never_becomes_ready_ends_everything(log: Log) -> None:
    failing = log.spec("failing", "raise SystemExit(3)")
    with pytest.raises(ConfigurationError, match=r"failing exited at start \(status 3\)"):
        Supervisor([log.spec("one"), failing], threading.Event()).run(lambda: None)
    assert [(name, word) for name, word, _ in log.words()] == [("one", "start"), ("one", "stop")]


def test_a_program_that_does_not_exist_is_named(log: Log) -> None:
    spec = ChildSpec("ghost", ("/does/not/exist",), {}, ready=lambda: True)
    with pytest.raises(ConfigurationError, match="ghost cannot be started"):
        Supervisor([spec], threading.Event()).run(lambda: None)


def test_one_that_ignores_the_stop_signal_is_killed(log: Log) -> None:
    stubborn = PROGRAM.replace(
        "signal.signal(signal.SIGTERM, stop)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    )
    stop = threading.Event()
    supervisor = Supervisor([log.spec("stubborn", stubborn, stop_timeout=0.3)], stop)
    thread = started(supervisor, stop)
    pid = supervisor.pids()["stubborn"]
    stop.set()
    thread.join(30)
    assert not psutil.pid_exists(pid)


def test_grandchildren_do_not_outlive_a_stop(log: Log) -> None:
    forking = PROGRAM.replace(
        'note("start")', 'os.fork() or signal.signal(signal.SIGTERM, signal.SIG_IGN); note("start")'
    )
    stop = threading.Event()
    thread = started(Supervisor([log.spec("forking", forking)], stop), stop)
    wait_for(lambda: len(log.words("forking")) == 2)
    pids = [pid for _, word, pid in log.words() if word == "start"]
    assert len(pids) == 2
    stop.set()
    thread.join(30)
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids))
