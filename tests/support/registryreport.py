"""``make conformance-registry``: what the client does against real registries, as tables.

``python -m tests.support.registryreport [--racers 20] [--rounds 100] [--gigabytes 5]`` prints four
parts and exits 1 when any of them is not as it must be.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from app.errors import VerilayerError
from app.registry.repository import Repository
from tests.support import flakylink
from tests.support.faultmatrix import meet
from tests.support.faultproxy import FAULTS, fault_proxy
from tests.support.operations import OPERATIONS, Scene
from tests.support.racing import race
from tests.support.redis_server import redis_server
from tests.support.registries import FLAVOURS, RunningRegistry, docker_registry
from tests.support.tokenserver import token_server

_SHORT = {
    "Unavailable": "unavail",
    "RateLimited": "limited",
    "ContentMismatch": "mismatch",
    "ResponseInvalid": "invalid",
    "AccessRefused": "refused",
    "Unauthorized": "unauth",
    "NotFound": "notfound",
}


@contextmanager
def _servers(root: Path) -> Iterator[dict[str, RunningRegistry]]:
    with ExitStack() as stack:
        tokens = stack.enter_context(token_server())
        yield {
            f"{flavour} {kind}": stack.enter_context(
                docker_registry(root, flavour, auth=tokens if kind == "token" else "htpasswd")
            )
            if kind != "none"
            else stack.enter_context(docker_registry(root, flavour))
            for flavour in FLAVOURS
            for kind in ("none", "htpasswd", "token")
        }


def operations(console: Console, root: Path) -> int:
    """Print operation x server; return the number of failures."""
    failures = 0
    with _servers(root) as servers:
        table = Table(title="operations against real registries")
        table.add_column("operation")
        for name in servers:
            table.add_column(name)
        for operation, (act, check) in OPERATIONS.items():
            row = []
            for server in servers.values():
                with closing(server.open()) as registry:
                    scene = Scene.make(registry, f"team/{uuid.uuid4().hex}")
                    try:
                        repository = Repository(registry, scene.repository)
                        good = check(act(repository, scene), repository, scene)
                        row.append("ok" if good else "NO EFFECT")
                    except VerilayerError as error:
                        row.append(type(error).__name__)
                failures += row[-1] != "ok"
            table.add_row(operation, *row)
        console.print(table)
    return failures


def faults(console: Console, root: Path) -> int:
    """Print operation x fault; return the number of failures."""
    failures = 0
    with docker_registry(root) as server, fault_proxy(server.host) as proxy:
        table = Table(title="operation × fault: outcome once / outcome when it stays")
        table.add_column("fault")
        for operation in OPERATIONS:
            table.add_column(operation.replace("_", "\n"))
        for fault in FAULTS:
            row = []
            for operation in OPERATIONS:
                try:
                    pair = meet(operation, fault, proxy, server, f"team/{uuid.uuid4().hex}")
                    row.append("\n".join(_SHORT.get(name, name) for name in pair))
                except AssertionError as error:
                    failures += 1
                    row.append("WRONG")
                    console.print(f"{operation} × {fault}: {error}")
            table.add_row(fault, *row, end_section=True)
        console.print(table)
    return failures


def races(console: Console, root: Path, racers: int, rounds: int) -> int:
    """Print how many referrers survived; return the number of rounds that lost some."""
    with docker_registry(root) as server, redis_server(root) as shared:
        results = race(server, "team/race", racers=racers, rounds=rounds, redis_url=shared.url)
    lost = sum(expected - found for expected, found in results)
    console.print(
        f"{racers} processes attached to one subject in {len(results)} rounds on a registry that "
        f"has only the fallback tag: {lost} of {racers * rounds} referrers lost"
    )
    return lost


@click.command()
@click.option("--racers", default=20, show_default=True)
@click.option("--rounds", default=100, show_default=True)
@click.option("--gigabytes", default=5.0, show_default=True)
def main(racers: int, rounds: int, gigabytes: float) -> None:
    """Run all four parts."""
    console = Console(width=200)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        failures = operations(console, root) + faults(console, root)
        failures += races(console, root, racers, rounds)
    failures += flakylink.main(gigabytes)
    console.print(f"{failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
