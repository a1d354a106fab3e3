"""``verilayer verify``: is what is attached to an image what it claims to be?"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from app.catalog.builders import DEFAULT_BUILDER, offered
from app.catalog.profiles import PROFILES
from workers.cli.exits import VERIFICATION, reported


@click.command()
@click.argument("reference")
@click.option(
    "--ca",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM certificates to trust: CAs or signers. Repeatable.",
)
@click.option("--deep", is_flag=True, help="Fetch and build every layer again and compare.")
@click.option(
    "--profile", "profiles", multiple=True, type=click.Choice(PROFILES),
    help="A bundle that must be there. Default: any.",
)  # fmt: skip
@click.option("--signed", is_flag=True, help="Refuse unsigned bundles of every profile.")
@click.option(
    "--builder-version",
    default=DEFAULT_BUILDER,
    show_default=True,
    help="With --deep: the erofs-utils to equal where the bundle does not say.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="VERILAYER_CONFIG_FILE",
    help="Configuration file, for registries and their credentials.",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP to a registry not configured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reported
def command(reference: str, as_json: bool, **options: Any) -> None:
    """Verify the bundles of every image below REFERENCE (host/repository:tag,
    oci:DIR:tag or oci-archive:FILE:tag).

    \b
    Checks that bundles are complete, that every digest, UUID and root hash fits,
    and that signatures are such as a kernel accepts. Without --ca nobody vouches
    for the signer.

    Exit status 3: a check failed; failing layers are named.
    """
    from workers.verification.report import to_text

    report = _verify(reference, options)
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else to_text(report))
    if not report.ok:
        for layer in report.failing_layers:
            click.echo(f"failed: {layer}", err=True)
        sys.exit(VERIFICATION)


def _verify(reference: str, options: dict[str, Any]) -> Any:
    from app.config.model import BuildConfig
    from app.errors import ConfigurationError
    from workers.cli.opening import configuration, open_place
    from workers.cli.scratch import command_spool
    from workers.verification.rebuild import Rebuild
    from workers.verification.trust import Trust
    from workers.verification.verify import Options, verify_reference

    version = options["builder_version"]
    if version not in offered():
        raise ConfigurationError(f"builder version {version} is unknown")
    place = open_place(
        reference, configuration(options["config"]), plain_http=options["plain_http"]
    )
    checks = Options(
        trust=Trust.from_files(options["ca"]),
        expected=options["profiles"],
        signatures_required=options["signed"],
    )
    build = BuildConfig(builder_version=version)
    rebuild = Rebuild(place.repository, build, command_spool()) if options["deep"] else None
    with closing(place):
        return verify_reference(place.repository, place.target, checks, rebuild)
