"""The demonstration from start to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from app.config.model import RegistryConfig
from app.errors import ConfigurationError
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry
from app.registry.repository import Repository
from workers.demo import attached, image, processes, report, timings
from workers.supervisor import first_start
from workers.supervisor.supervisor import Supervisor

REPOSITORY = "demo/app"
TAG = "1.0"
#: Columns of tables that go to a file or a pipe: a root hash fits on one line.
_PLAIN_WIDTH = 132


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was attached, and how long each unit of work took."""

    bundles: list[attached.AttachedBundle]
    timings: dict[str, dict[str, float]]

    def print(self) -> None:
        """Print tables to standard output."""
        console = Console()
        if not console.is_terminal:
            console.width = _PLAIN_WIDTH
        report.print_bundles(console, self.bundles)
        report.print_timings(console, self.timings)

    def as_json(self) -> dict[str, object]:
        """Return the facts as a JSON object."""
        return report.as_json(self.bundles, self.timings)


def demonstrate(
    folder: Path,
    *,
    quick: bool,
    timeout: float,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Outcome:
    """Run everything below ``folder`` and return what was attached; ``say`` tells the progress.

    Raises ``ConfigurationError`` when a program is missing or does not start, ``Unavailable`` when
    nothing was attached in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "image").exists():
        raise ConfigurationError(
            f"{folder} has a demonstration already", advice="give a new folder"
        )
    ports = processes.Ports.free()
    secret = first_start.webhook_secret(folder / "state").read_text()
    specs = [
        processes.registry(folder, ports, secret),
        processes.service(folder, ports, environment),
    ]
    say("making a two-platform image from this machine's files")
    made = image.build(folder / "image", with_dependencies=not quick)
    say("starting docker-registry and verilayer up")
    supervisor = Supervisor(specs, threading.Event())
    try:
        supervisor.start()
        return _push_and_wait(folder, ports, made, timeout, say, supervisor)
    finally:
        supervisor.stop()


def _push_and_wait(
    folder: Path,
    ports: processes.Ports,
    made: image.DemoImage,
    timeout: float,
    say: Callable[[str], None],
    supervisor: Supervisor,
) -> Outcome:
    host = f"127.0.0.1:{ports.registry}"
    reference = f"{host}/{REPOSITORY}:{TAG}"
    say(f"pushing {reference} with skopeo ({made.layer_bytes / 1e6:.0f} MB of layers)")
    image.push(made, reference)
    pushed = time.monotonic()
    config = RegistryConfig(id="local", url=f"http://{host}", allow_private_addresses=True)
    registry = open_registry(config, LocalCoordination())
    repository = Repository(registry, REPOSITORY)
    try:
        bundles = []
        for platform, subject in made.manifests.items():
            found = attached.wait_for_bundle(
                repository, subject, timeout, lambda: supervisor.all_running
            )
            seconds = time.monotonic() - pushed
            bundles.append(attached.read(repository, platform, subject, found, seconds))
    finally:
        registry.close()
    return Outcome(bundles, timings.read(folder / "state" / "redis"))
