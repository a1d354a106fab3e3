"""The chaos run: many events, killed workers, a killed broker, a faulty registry; then the count.

::

    python -m tests.chaos.chaos --events 10000 --kills 50 --restarts 5

Every part is real. What is killed is killed with SIGKILL: child processes in the middle of a layer,
whole workers with their clock, Redis with its append-only file. At the end, with everything left in
peace, the ledger and the registry must agree with what was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import httpx
import psutil

from app.errors import VerilayerError
from tests.chaos.checks import Expected, checked
from tests.support.faultproxy import Proxy, fault_proxy
from tests.support.images import PushedImage, layer_tar, push_image
from tests.support.pipeline import Pipeline, pipeline

#: What passes by itself: whoever retries gets through.
FAULTS = ("reset", "reset-midway", "truncate", "429", "500", "503")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what."""

    events: int = 10_000
    kills: int = 50
    restarts: int = 5
    images: int = 60
    workers: int = 3
    #: Seconds between two kills.
    pause: float = 2.0
    seed: int = 1
    #: Seconds for everything to come to rest at the end.
    patience: float = 300.0


@dataclass(slots=True)
class Figures:
    """What happened."""

    events_sent: int = 0
    answered_202: int = 0
    retried_deliveries: int = 0
    child_kills: int = 0
    worker_kills: int = 0
    broker_restarts: int = 0
    registry_faults: int = 0
    seconds: float = 0.0
    settle_seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    layer_builds: int = 0
    distinct_layers: int = 0
    problems: list[str] = field(default_factory=list)


class _Chaos:
    def __init__(self, service: Pipeline, proxy: Proxy, plan: Plan, figures: Figures) -> None:
        self._service = service
        self._proxy = proxy
        self._plan = plan
        self._figures = figures
        self._random = random.Random(plan.seed)
        self._sent = threading.Event()
        self._guard = threading.Lock()
        self.ids: set[str] = set()
        self.images: list[tuple[PushedImage, str]] = []

    def run(self) -> None:
        """Push, send, kill and break until all of the plan is done."""
        self._push(max(1, self._plan.images // 4), 0.0)
        senders = [threading.Thread(target=self._send, args=(number,)) for number in range(4)]
        senders.append(threading.Thread(target=self._push_rest))
        breaker = threading.Thread(target=self._break)
        for thread in (*senders, breaker):
            thread.start()
        self._kill()
        for sender in senders:
            sender.join()
        self._sent.set()
        breaker.join()
        self._proxy.arm(None)

    def _push_rest(self) -> None:
        self._push(self._plan.images, self._plan.kills * self._plan.pause / self._plan.images)

    def _push(self, count: int, pace: float) -> None:
        # Five bases shared by all, one layer of its own each; large enough to be killed in.
        bases = [layer_tar(number, files=30, size=200_000) for number in range(5)]
        for number in range(len(self.images), count):
            time.sleep(pace)
            own = layer_tar(1000 + number, files=6, size=100_000)
            repository = f"chaos/r{number % 7}"
            image = push_image(
                self._service.registry,
                repository,
                [bases[number % 5], own],
                tag=f"i{number}",
                salt=str(number),
            )
            self.images.append((image, repository))

    def _send(self, number: int) -> None:
        source = random.Random(self._plan.seed * 1000 + number)
        # Spread over the whole time of killing, so that events meet every kind of trouble.
        pace = self._plan.kills * self._plan.pause / max(1, self._plan.events)
        started = time.monotonic()
        with httpx.Client(timeout=10) as client:
            for count in range(number, self._plan.events, 4):
                time.sleep(max(0.0, started + count * pace - time.monotonic()))
                image, repository = source.choice(self.images)
                self._deliver(client, f"chaos-{count}", image, repository)

    def _deliver(
        self, client: httpx.Client, name: str, image: PushedImage, repository: str
    ) -> None:
        with self._guard:
            self._figures.events_sent += 1
        while True:
            with suppress(httpx.TransportError):
                answer = self._service.notify(
                    repository, image.digest, "1", event=name, client=client
                )
                if answer.status_code == 202:
                    break
            with self._guard:
                self._figures.retried_deliveries += 1
            time.sleep(0.2)
        with self._guard:
            self._figures.answered_202 += 1
            self.ids.add(name)

    def _break(self) -> None:
        source = random.Random(self._plan.seed + 7)
        while not self._sent.wait(0.4):
            self._figures.registry_faults += self._proxy.hits
            self._proxy.arm(source.choice(FAULTS), times=source.randint(1, 3))
        self._figures.registry_faults += self._proxy.hits

    def _kill(self) -> None:
        every = max(1, self._plan.kills // max(1, self._plan.restarts))
        while self._killed < self._plan.kills:
            count = self._killed
            time.sleep(self._plan.pause * self._random.uniform(0.5, 1.5))
            self.revive()
            worker = self._random.choice(self._service.workers)
            # A whole worker now and then; starting one again takes a while.
            if self._random.random() < 0.15:
                with suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
                self._figures.worker_kills += 1
            else:
                self._kill_child(worker)
            due = self._figures.broker_restarts < self._plan.restarts
            if due and count % every == every - 1 and self._killed > count:
                self._service.redis.stop()
                time.sleep(self._random.uniform(0.2, 1.0))
                self._service.redis.start()
                self._figures.broker_restarts += 1

    @property
    def _killed(self) -> int:
        return self._figures.child_kills + self._figures.worker_kills

    def _kill_child(self, worker: subprocess.Popen[bytes]) -> None:
        with suppress(psutil.Error):
            children = psutil.Process(worker.pid).children()
            # None yet: it is still starting.
            if children:
                self._random.choice(children).kill()
                self._figures.child_kills += 1

    def revive(self) -> None:
        """Start again what has exited, as a deployment's supervisor does all the time.

        A worker may exit seconds after Redis was killed: kombu cannot always reconnect.
        """
        for number, worker in enumerate(list(self._service.workers)):
            if worker.poll() is not None:
                self._service.workers.remove(worker)
                started = self._service.start_worker(f"worker-again{number}")
                self._service.workers.remove(started)
                self._service.workers.insert(number, started)


def run(folder: Path, plan: Plan) -> Figures:
    """Run the plan below ``folder``; ``problems`` of the result is empty when all is well."""
    figures = Figures()
    started = time.monotonic()
    holder: list[Proxy] = []

    @contextmanager
    def before_registry(host: str) -> Iterator[str]:
        with fault_proxy(host) as proxy:
            holder.append(proxy)
            yield proxy.url

    environment = {
        "VERILAYER_MAX_ATTEMPTS": "30",
        "VERILAYER_RETRY_SECONDS": "0.3",
        "VERILAYER_LEASE_SECONDS": "4",
        "VERILAYER_LOG_LEVEL": "WARNING",
    }
    with pipeline(
        folder, workers=plan.workers, proxy=before_registry, durable=True, environment=environment
    ) as service:
        chaos = _Chaos(service, holder[0], plan, figures)
        chaos.run()
        resting = time.monotonic()
        _rest(service, plan.patience, chaos.revive)
        figures.settle_seconds = round(time.monotonic() - resting, 1)
        expected = Expected(chaos.images, chaos.ids)
        figures.problems = list(checked(service, expected, folder))
        figures.outcomes = service.engine.events.counts().settled
        figures.jobs = {s: n for s, n in service.engine.ledger.counts().items() if n}
        figures.layer_builds = service.builds_done()
        figures.distinct_layers = len(
            {layer.digest for image, _ in chaos.images for layer in image.layers}
        )
    figures.seconds = round(time.monotonic() - started, 1)
    return figures


def _rest(service: Pipeline, patience: float, revive: Callable[[], None]) -> None:
    deadline = time.monotonic() + patience
    calm = 0
    while calm < 6 and time.monotonic() < deadline:
        revive()
        with suppress(VerilayerError):
            calm = calm + 1 if service.idle() else 0
        time.sleep(0.25)


def main() -> int:
    """Run from the command line; prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    for field_ in fields(Plan):
        kind = type(field_.default)
        parser.add_argument(f"--{field_.name}", type=kind, default=field_.default)
    parser.add_argument("--folder", type=Path, help="keep everything there")
    arguments = vars(parser.parse_args())
    folder = arguments.pop("folder")
    with tempfile.TemporaryDirectory(prefix="verilayer-chaos-") as temporary:
        figures = run(folder or Path(temporary), Plan(**arguments))
    print(json.dumps(asdict(figures), indent=2))
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
