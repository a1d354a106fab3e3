"""``verilayer sweep``: find images whose bundles are missing or not as they must be; queue them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, get_args

import click

from app.catalog.vocabulary import VerifyDepth
from workers.cli.exits import FAILED, reported

if TYPE_CHECKING:
    from workers.sweep.progress import Progress
    from workers.sweep.sweep import Report


@click.command()
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@click.option(
    "--repository", "repositories", multiple=True, metavar="NAME", help="Only this repository."
)
@click.option("--dry-run", is_flag=True, help="Only look and count; queue nothing.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on where it stopped.")
@click.option(
    "--verify",
    "depth",
    type=click.Choice(get_args(VerifyDepth)),
    help="Verify every image found complete as `verilayer verify` does; deep: build it anew.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@reported
def command(
    registries: tuple[str, ...],
    repositories: tuple[str, ...],
    dry_run: bool,
    restart: bool,
    depth: VerifyDepth | None,
    as_json: bool,
) -> None:
    """Walk registries (all configured ones by default) and queue what needs converting.

    Reads the configuration and Redis as the service does. Queued images rank below every push.
    Exits with 1 when some image could not be looked at.
    """
    from app.jobs.requests import Verifications
    from workers.composition import context_from_environment
    from workers.sweep.opening import chosen_registries, open_drift_check, open_sweep
    from workers.sweep.progress import ProgressStore

    context = context_from_environment()
    active, engine = context.current(), context.engine
    records = None if dry_run else Verifications(engine.redis)
    failed = 0
    for each in chosen_registries(active.config, registries):
        registry = context.registry(each)
        drift = depth and open_drift_check(active.config, context.spool, records, depth=depth)
        sweep = open_sweep(
            active.config, registry, engine, active.authority.signer_for, drift=drift or None,
            dry_run=dry_run, report=lambda found: _report(found, as_json),
        )  # fmt: skip
        progress = sweep.run(
            ProgressStore(engine.redis), repositories=repositories, restart=restart
        )
        _summary(each.id, progress, dry_run, as_json)
        failed += progress.counts.get("failed", 0)
    if failed:
        sys.exit(FAILED)


def _report(found: Report, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "repository": found.repository,
                    "tag": found.tag,
                    "digest": found.digest,
                    "platform": found.platform,
                    "finding": found.finding.kind,
                    "reason": found.finding.reason,
                }
            )
        )
    elif found.finding.kind != "complete":
        platform = f" {found.platform}" if found.platform else ""
        click.echo(
            f"{found.finding.kind:9} {found.repository}:{found.tag}{platform}"
            f"  ({found.finding.reason})"
        )


def _summary(registry: str, progress: Progress, dry_run: bool, as_json: bool) -> None:
    counts = dict(sorted(progress.counts.items()))
    if as_json:
        click.echo(json.dumps({"registry": registry, "dry_run": dry_run, "counts": counts}))
        return
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing found"
    click.echo(f"{registry}: {told}{' (dry run: nothing queued)' if dry_run else ''}")
