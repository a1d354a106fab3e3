"""``verilayer demo``: the main job on real parts, shown to a person."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from workers.cli.exits import reported


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep registry, image, state and logs there; without it, a temporary folder is used.",
)
@click.option("--quick", is_flag=True, help="Leave the largest layer out.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait for a bundle.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reported
def command(folder: Path | None, quick: bool, timeout: float, as_json: bool) -> None:
    """Push a real image to a real registry and show what gets attached to it.

    Starts docker-registry with notifications and `verilayer up`, both on free ports of this host,
    makes a two-platform image from this machine's files, pushes it with skopeo, waits, and prints
    each layer's index, tree, signature and root hash. Everything is stopped at the end.
    """
    from app.observability import logging
    from workers.demo import run

    logging.configure(level="WARNING")

    with ExitStack() as stack:
        if folder is None:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="verilayer-demo-"))
            )
        outcome = run.demonstrate(
            folder.resolve(),
            quick=quick,
            timeout=timeout,
            environment=dict(os.environ),
            say=lambda text: click.echo(text, err=as_json),
        )
        if as_json:
            click.echo(json.dumps(outcome.as_json()))
        else:
            outcome.print()
