"""``verilayer inspect``: what an image consists of, and what is attached to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from workers.cli.exits import reported


@click.command()
@click.argument("reference")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="VERILAYER_CONFIG_FILE",
    help="Configuration file, for registries and their credentials.",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP to a registry not configured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reported
def command(reference: str, config: Path | None, plain_http: bool, as_json: bool) -> None:
    """Show the images below REFERENCE (host/repository:tag or oci:DIR[:tag]).

    For each image: platform, layers, whether they can be converted, and every
    referrer with what it says about each layer. Nothing is verified: that is
    what `verilayer verify` does.
    """
    from workers.cli.inspection import inspect_reference, to_text
    from workers.cli.opening import configuration, open_place

    place = open_place(reference, configuration(config), plain_http=plain_http)
    try:
        found: dict[str, Any] = inspect_reference(place.repository, place.target)
    finally:
        place.close()
    click.echo(json.dumps(found, indent=2) if as_json else to_text(found))
