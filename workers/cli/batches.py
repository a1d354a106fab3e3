"""``verilayer batches``: bulk reprocessing, over the admin API."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from app.catalog.vocabulary import PRIORITIES, Reprocessed
from workers.cli.exits import reported
from workers.cli.service import counts, moment, open_client, request_of, service_options, show_json

if TYPE_CHECKING:
    from app.jobs.batches import Batch, BatchProgress


@click.group()
def command() -> None:
    """Convert known images again in bulk, over the admin API."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most.")
@service_options
@reported
def list_batches(limit: int, url: str, token_file: Path | None, as_json: bool) -> None:
    """List batches, newest first."""
    with open_client(url, token_file) as client:
        for batch in islice(client.batches(), limit):
            _show_batch(batch, as_json)


@command.command("show")
@click.argument("batch_id", metavar="BATCH")
@service_options
@reported
def show(batch_id: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Show how far a batch is."""
    with open_client(url, token_file) as client:
        _show_progress(client.batch(batch_id), as_json)


@command.command("reprocess")
@click.option("--registry", metavar="ID", help="Only this registry.")
@click.option("--repository", default="*", show_default=True, metavar="GLOB", help="Such as team/*")
@click.option(
    "--only",
    type=click.Choice(get_args(Reprocessed)),
    default="all",
    show_default=True,
    help="stale: built by a builder below --builder-below; missing: the sweep looks for them.",
)
@click.option("--builder-below", metavar="VERSION", help="Such as 1.9")
@click.option(
    "--priority",
    type=click.Choice(PRIORITIES),
    default="low",
    show_default=True,
    help="Among other people's wishes; pushes come first.",
)
@click.option("--no-force", is_flag=True, help="Leave images alone that have their bundles.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@service_options
@reported
def reprocess(
    registry: str | None,
    repository: str,
    only: str,
    builder_below: str | None,
    priority: str,
    no_force: bool,
    dry_run: bool,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Convert known images again as one batch."""
    import json

    from app.admin.schemas import Reprocess, ReprocessPlan
    from app.jobs.batches import Batch

    if only == "stale" and builder_below is None:
        raise click.UsageError("--only stale needs --builder-below")
    wanted = request_of(
        Reprocess, registry=registry, repository=repository, only=only, builder_below=builder_below,
        priority=priority, force=not no_force, dry_run=dry_run,
    )  # fmt: skip
    with open_client(url, token_file) as client:
        answer = client.reprocess(wanted)
    if isinstance(answer, Batch):
        _show_batch(answer, as_json)
    elif isinstance(answer, ReprocessPlan):
        text = f"{answer.images} images: {counts(answer.by_state)} (dry run: nothing queued)"
        show_json(answer) if as_json else click.echo(text)
    else:
        click.echo(
            json.dumps({"sweeps": answer}) if as_json else f"sweeps are due: {', '.join(answer)}"
        )


@command.command("pause")
@click.argument("batch_id", metavar="BATCH")
@service_options
@reported
def pause(batch_id: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Feed nothing more; what is queued goes on."""
    with open_client(url, token_file) as client:
        _show_progress(client.pause_batch(batch_id), as_json)


@command.command("resume")
@click.argument("batch_id", metavar="BATCH")
@service_options
@reported
def resume(batch_id: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Feed again."""
    with open_client(url, token_file) as client:
        _show_progress(client.resume_batch(batch_id), as_json)


@command.command("cancel")
@click.argument("batch_id", metavar="BATCH")
@service_options
@reported
def cancel(batch_id: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Forget what was not fed, cancel what is unfinished."""
    with open_client(url, token_file) as client:
        _show_progress(client.cancel_batch(batch_id), as_json)


def _show_batch(batch: Batch, as_json: bool) -> None:
    if as_json:
        show_json(batch)
        return
    click.echo(
        f"{batch.id}  {batch.state:9}  {moment(batch.created)}  {batch.total} images  "
        f"{batch.title}  by {batch.actor}"
    )


def _show_progress(progress: BatchProgress, as_json: bool) -> None:
    if as_json:
        show_json(progress)
        return
    _show_batch(progress.batch, as_json=False)
    click.echo(
        f"  waiting {progress.waiting}, resolving {progress.resolving};"
        f" jobs: {counts(progress.jobs)}"
    )
