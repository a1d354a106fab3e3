"""``verilayer dead``: jobs whose attempts are used up, over the admin API."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workers.cli.exits import FAILED, reported
from workers.cli.service import open_client, service_options, show_job

if TYPE_CHECKING:
    from app.jobs.records import Job


@click.group()
def command() -> None:
    """Dead letters: jobs whose attempts are used up, over the admin API."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most.")
@service_options
@reported
def list_dead(limit: int, url: str, token_file: Path | None, as_json: bool) -> None:
    """List dead letters and why they died."""
    with open_client(url, token_file) as client:
        for job in islice(client.dead_letters(), limit):
            show_job(job, as_json)


@command.command("requeue")
@click.argument("job_ids", metavar="[JOB]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All dead letters there are now.")
@service_options
@reported
def requeue(
    job_ids: tuple[str, ...], every: bool, url: str, token_file: Path | None, as_json: bool
) -> None:
    """Give dead letters new attempts; exits with 1 when some were refused."""
    if bool(job_ids) == every:
        raise click.UsageError("give job ids, or --all")
    with open_client(url, token_file) as client:
        chosen = [job.id for job in client.dead_letters()] if every else job_ids
        _each(chosen, client.requeue, as_json)


@command.command("drop")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@service_options
@reported
def drop(job_ids: tuple[str, ...], url: str, token_file: Path | None, as_json: bool) -> None:
    """Give dead letters up: they become cancelled. Needs role admin."""
    with open_client(url, token_file) as client:
        _each(job_ids, client.drop, as_json)


def _each(job_ids: Iterable[str], action: Callable[[str], Job], as_json: bool) -> None:
    from workers.cli.client import CallerRefused, RequestRefused

    refused = False
    for job_id in job_ids:
        try:
            show_job(action(job_id), as_json)
        except CallerRefused:
            raise
        except RequestRefused as error:
            refused = True
            click.echo(f"verilayer: {job_id}: {error.message} [{error.code}]", err=True)
    if refused:
        sys.exit(FAILED)
