"""``verilayer copy``: an image and everything attached to it, to another place."""

from __future__ import annotations

import json
from pathlib import Path

import click

from workers.cli.exits import reported


@click.command()
@click.argument("source")
@click.argument("destination")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="VERILAYER_CONFIG_FILE",
    help="Configuration file, for registries and their credentials.",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP to registries not configured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reported
def command(
    source: str, destination: str, config: Path | None, plain_http: bool, as_json: bool
) -> None:
    """Copy SOURCE with its bundles and other referrers to DESTINATION.

    Both are host/repository:tag or an OCI image layout, oci:DIR:tag or
    oci-archive:FILE:tag. Digests stay the same, so bundles and signatures stay
    valid. What is there already is not transferred again; the tag is written last.
    """
    from workers.cli.opening import configuration, open_place
    from workers.cli.scratch import command_spool
    from workers.images.copying import Copier

    known = configuration(config)
    one = open_place(source, known, plain_http=plain_http)
    other = open_place(destination, known, plain_http=plain_http, create=True)
    try:
        copier = Copier(one.repository, other.repository, command_spool())
        copied = copier.copy(one.target, None if ":" in other.target else other.target)
    finally:
        one.close()
        other.close()
    report = {
        "root": copied.root,
        "manifests": len(copied.manifests),
        "referrers": list(copied.referrers),
        "tags": list(copied.tags),
        "blobs_copied": copied.blobs_copied,
        "blobs_present": copied.blobs_present,
    }
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        click.echo(
            f"{copied.root}: {len(copied.manifests)} manifests and {len(copied.referrers)} "
            f"referrers, {copied.blobs_copied} blobs copied, {copied.blobs_present} present"
        )
