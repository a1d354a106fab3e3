"""The real processes around a demonstration: docker-registry and ``verilayer up``."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError
from workers.supervisor import first_start
from workers.supervisor.child import ChildSpec
from workers.supervisor.services import answers_ok


@dataclass(frozen=True, slots=True)
class Ports:
    """Free ports on loopback."""

    registry: int
    api: int

    @classmethod
    def free(cls) -> Ports:
        """Ask the kernel for two at once, so that they differ."""
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            return cls(one.getsockname()[1], two.getsockname()[1])


def registry(folder: Path, ports: Ports, secret: str) -> ChildSpec:
    """A docker-registry whose notifications go to the service.

    Raises ``ConfigurationError`` where there is none.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        raise ConfigurationError(
            "docker-registry is not installed", advice="apt-get install docker-registry"
        )
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{ports.registry}"},
        "notifications": {
            "endpoints": [
                {
                    "name": "verilayer",
                    "url": f"http://127.0.0.1:{ports.api}/webhooks/local",
                    "headers": {first_start.SECRET_HEADER: [secret]},
                    "timeout": "3s",
                    "threshold": 3,
                    "backoff": "1s",
                    "ignore": {"actions": ["pull", "mount", "delete"]},
                }
            ]
        },
    }
    file = folder / "registry.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))  # JSON is YAML
    return ChildSpec(
        name="registry",
        argv=(program, "serve", str(file)),
        environment={"PATH": os.defpath},
        ready=lambda: answers_ok(f"http://127.0.0.1:{ports.registry}/v2/"),
        log=folder / "registry.log",
    )


def service(folder: Path, ports: Ports, environment: Mapping[str, str]) -> ChildSpec:
    """``verilayer up`` with its state and configuration below ``folder``."""
    return ChildSpec(
        name="service",
        argv=(
            *(sys.executable, "-m", "workers", "up"),
            *("--state", str(folder / "state"), "--config", str(folder / "verilayer.yaml")),
            *("--port", str(ports.api), "--registry", f"http://127.0.0.1:{ports.registry}"),
        ),
        environment=environment,
        ready=lambda: answers_ok(f"http://127.0.0.1:{ports.api}/readyz"),
        start_timeout=240,
        stop_timeout=90,
        log=folder / "service.log",
    )
