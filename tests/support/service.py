"""Runs ``verilayer up`` as a person would, and finds everything that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import free_port


@dataclass(slots=True)
class Service:
    """A service that said it is ready."""

    process: subprocess.Popen[str]
    facts: dict[str, Any]
    folder: Path

    @property
    def url(self) -> str:
        url: str = self.facts["api"]
        return url

    @property
    def secret(self) -> str:
        return (self.folder / "state" / "webhook-secret").read_text()

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text()

    def processes(self) -> list[psutil.Process]:
        """Every descendant that runs now."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 90.0) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


def command(folder: Path, port: int, *more: str) -> list[str]:
    """The command line of a service below ``folder``."""
    return [
        *(sys.executable, "-m", "workers", "up", "--json", "--port", str(port)),
        *("--state", str(folder / "state"), "--config", str(folder / "verilayer.yaml"), *more),
    ]


@contextmanager
def running_service(folder: Path, *more: str, **environment: str) -> Iterator[Service]:
    """Start a service and wait until it says it is ready; stopped when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "service.log").open("w")
    process = subprocess.Popen(
        command(folder, free_port(), *more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **environment},
    )
    log.close()
    watchdog = threading.Timer(240, process.kill)
    watchdog.start()
    assert process.stdout is not None
    line = process.stdout.readline()
    watchdog.cancel()
    service = Service(process, {}, folder)
    try:
        assert line, service.log
        service.facts = json.loads(line)
        yield service
    finally:
        if process.poll() is None:
            left = service.processes()
            try:
                service.stop(signal.SIGTERM)
            except subprocess.TimeoutExpired:
                process.kill()
                for one in left:
                    one.kill()
        process.stdout.close()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll a condition; fails with ``what`` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
