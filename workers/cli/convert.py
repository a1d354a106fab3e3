"""``verilayer convert``: pull, build, sign and attach, here and now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.catalog.profiles import DEFAULT_PROFILE, PROFILES
from workers.cli.exits import FAILED, NETWORK, exit_code, reported

if TYPE_CHECKING:
    from app.config.model import ServiceConfig
    from workers.images.inline import Outcome


@click.command()
@click.argument("reference")
@click.option("--dry-run", is_flag=True, help="Build and compute everything; publish nothing.")
@click.option(
    "--to-layout",
    metavar="DIR|FILE.tar",
    help="Copy the image to an OCI layout, a folder or a tar, and attach there.",
)
@click.option(
    "--profile", "profiles", multiple=True, type=click.Choice(PROFILES),
    help=f"Bundle format. Repeatable. [default: as configured, else {DEFAULT_PROFILE}]",
)  # fmt: skip
@click.option("--platform", "platforms", multiple=True, help="os/arch glob. [default: all Linux]")
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False), help="PEM private key to sign with."
)
@click.option(
    "--certificate", type=click.Path(exists=True, dir_okay=False), help="Its PEM certificate."
)
@click.option("--force", is_flag=True, help="Replace another bundle that is attached already.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="VERILAYER_CONFIG_FILE",
    help="Configuration file: registries, rules, signers, build options.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="VERILAYER_STATE_DIR",
    default=".state",
    show_default=True,
    help="Folder of the audit log and of scratch space.",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP to a registry not configured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and image.")
@reported
def command(reference: str, as_json: bool, **options: Any) -> None:
    """Convert every image below REFERENCE (host/repository:tag,
    oci:DIR[:tag] or oci-archive:FILE[:tag]).

    Needs neither broker nor service. Layers are signed with --key, or with the
    signer that the configuration file binds to the repository; the profile
    "verilayer" can do without.

    \b
    Examples:
      verilayer convert localhost:5000/team/app:1.0 --key k.pem --certificate c.pem
      verilayer convert oci:./image --profile verilayer
      verilayer convert registry.example/app:1 --to-layout out --dry-run --json

    Exit status 1: an image failed; 4: because of the registry.
    """
    from workers.cli.convertreport import json_report, text_report

    report = json_report() if as_json else text_report()
    worst = 0
    with report:
        for outcome in _outcomes(reference, options, report):
            report.outcome(outcome)
            worst = max(worst, _status(outcome))
    sys.exit(worst)


def _status(outcome: Outcome) -> int:
    if outcome.state != "failed":
        return 0
    code = exit_code(outcome.error) if outcome.error else FAILED
    return NETWORK if code == NETWORK else FAILED


def _outcomes(reference: str, options: dict[str, Any], watcher: Any) -> Any:
    from workers.cli.opening import configuration, open_place
    from workers.cli.scratch import command_spool
    from workers.images.inline import ConversionOptions, InlineConversion
    from workers.signing.opening import open_authority
    from workers.signing.seals import EvidenceSeals

    config = _with_key(configuration(options["config"]), options["key"], options["certificate"])
    state: Path = options["state"]
    state.mkdir(parents=True, exist_ok=True)
    locks = state / "locks"
    source = open_place(reference, config, plain_http=options["plain_http"], locks=locks)
    target = source
    if options["to_layout"]:
        target = open_place(f"oci:{options['to_layout']}", config, create=True, locks=locks)
    conversion = InlineConversion(
        source.repository,
        target.repository,
        open_authority(config, state, EvidenceSeals.of_this_process()),
        command_spool(state / "spool"),
        ConversionOptions(
            config,
            tuple(options["profiles"]) or config.defaults.profiles,
            tuple(options["platforms"]),
            dry_run=options["dry_run"],
            force=options["force"],
        ),
        watcher,
    )
    try:
        yield from conversion.run(source.target)
    finally:
        try:
            target.close()
        finally:
            source.close()


def _with_key(config: ServiceConfig, key: str | None, certificate: str | None) -> ServiceConfig:
    from app.config.model import Rule, SignerConfig
    from app.errors import ConfigurationError

    if (key is None) != (certificate is None):
        raise ConfigurationError("--key and --certificate belong together")
    if key is None:
        return config
    signer = SignerConfig(name="cli", kind="pem", key=key, certificate=certificate)
    return config.model_copy(
        update={
            "signers": (signer,),
            "rules": (Rule(name="cli"),),
            "defaults": config.defaults.model_copy(update={"signer": "cli"}),
        }
    )
