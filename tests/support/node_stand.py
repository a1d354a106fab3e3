"""A node's surroundings for tests: a registry that logs, a signer, a cache, the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization

from app.config.model import SignerConfig
from app.registry.protocols import Registry
from tests.support.registries import RunningRegistry, docker_registry
from workers.cli.commands import main
from workers.signing.opening import open_signer
from workers.signing.signer import Pkcs7Signer


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``verilayer node``, in this process: starting Python takes longer than the work."""
    result = CliRunner().invoke(main, ["node", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


@dataclass(frozen=True, slots=True)
class NodeStand:
    """One registry with its client, one signer, one cache directory."""

    server: RunningRegistry
    registry: Registry
    signer: Pkcs7Signer
    trust: Path
    cache: Path
    folder: Path

    def node(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``verilayer node``."""
        return run_node(*arguments)

    def node_command(self, *arguments: str) -> list[str]:
        """The same as a command line, for a process of its own."""
        return [sys.executable, "-m", "workers", "node", *arguments]

    def fetch(self, reference: str, *more: str) -> dict[str, Any]:
        """Run ``node fetch`` that must succeed; returns its report."""
        done = self.node(*self.fetch_arguments(reference), *more)
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def fetch_arguments(self, reference: str) -> list[str]:
        """Arguments of a fetch that trusts our signer."""
        return [
            *("fetch", reference, "--cache", str(self.cache), "--trust", str(self.trust)),
            *("--plain-http", self.server.host, "--json"),
        ]

    def blobs_read(self) -> set[str]:
        """Digests of all blobs that anybody has read from the registry so far."""
        log = (self.server.root / "log").read_text(errors="replace")
        return set(re.findall(r'"GET /v2/\S+/blobs/(sha256:[0-9a-f]{64})\S* HTTP', log))

    def bytes_sent(self) -> int:
        """Sum of the bodies of all GET answers so far."""
        log = (self.server.root / "log").read_text(errors="replace")
        return sum(map(int, re.findall(r'"GET /v2/[^"]*" 20[06] (\d+)', log)))

    def forget(self) -> None:
        """Empty the access log."""
        with (self.server.root / "log").open("r+b") as log:
            log.truncate(0)


@cache
def _signer() -> Pkcs7Signer:
    """One for the process: making RSA keys is slow."""
    with tempfile.TemporaryDirectory() as folder:
        return open_signer(SignerConfig(name="node-test", kind="ephemeral"), Path(folder))


@contextmanager
def node_stand(folder: Path) -> Iterator[NodeStand]:
    """Start a registry with an access log, and make a signer that ``trust`` names."""
    signer = _signer()
    trust = folder / "trust.pem"
    trust.write_bytes(signer.chain.leaf.public_bytes(serialization.Encoding.PEM))
    with docker_registry(folder, access_log=True) as server:
        registry = server.open()
        try:
            yield NodeStand(server, registry, signer, trust, folder / "cache", folder)
        finally:
            registry.close()
