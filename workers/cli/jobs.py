"""``verilayer jobs``: see and steer the service's jobs over its admin API."""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.catalog.profiles import PROFILES
from app.catalog.vocabulary import PRIORITIES
from app.jobs.state import WELL, JobState
from workers.cli.exits import FAILED, reported
from workers.cli.service import (
    moment,
    open_client,
    request_of,
    service_options,
    show_job,
    show_json,
)

if TYPE_CHECKING:
    from app.admin.schemas import JobView
    from workers.cli.client import AdminClient

_STATES = [state.value for state in JobState]
#: Seconds between looks at an event that is not settled.
_POLL = 0.5


@click.group()
def command() -> None:
    """See and steer the service's jobs, over its admin API."""


@command.command("list")
@click.option(
    "--state",
    type=click.Choice(_STATES),
    help="Only jobs in this state.",
)
@click.option("--registry", metavar="ID", help="Only jobs of this registry.")
@click.option("--repository", metavar="NAME", help="Only this repository; needs --registry.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most.")
@service_options
@reported
def list_jobs(
    state: str | None,
    registry: str | None,
    repository: str | None,
    limit: int,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    with open_client(url, token_file) as client:
        wanted = JobState(state) if state else None
        found = client.jobs(state=wanted, registry=registry, repository=repository)
        for job in islice(found, limit):
            show_job(job, as_json)


@command.command("show")
@click.argument("job_id", metavar="JOB")
@service_options
@reported
def show(job_id: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Show a job, its layers and its history."""
    with open_client(url, token_file) as client:
        view = client.job(job_id)
    show_json(view) if as_json else _show(view)


@command.command("submit")
@click.argument("reference")
@click.option("--platform", "platforms", multiple=True, help="Such as linux/amd64; repeatable.")
@click.option(
    "--profile", "profiles", multiple=True, type=click.Choice(PROFILES), help="Repeatable."
)
@click.option(
    "--priority",
    type=click.Choice(PRIORITIES),
    default="normal",
    show_default=True,
    help="Among other people's wishes; pushes come first.",
)
@click.option("--force", is_flag=True, help="Convert again what is attached already.")
@click.option("--dry-run", is_flag=True, help="Convert, but push nothing.")
@click.option("--wait", is_flag=True, help="Wait for the jobs; exit with 1 unless all succeed.")
@service_options
@reported
def submit(
    reference: str,
    platforms: tuple[str, ...],
    profiles: tuple[str, ...],
    priority: str,
    force: bool,
    dry_run: bool,
    wait: bool,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Ask for the conversion of REFERENCE, such as registry.example/team/app:1.4."""
    from app.admin.schemas import SubmitJob

    wanted = request_of(
        SubmitJob, reference=reference, platforms=platforms, profiles=profiles, priority=priority,
        force=force, dry_run=dry_run,
    )  # fmt: skip
    with open_client(url, token_file) as client:
        accepted = client.submit(wanted)
        if not wait:
            shown = f"accepted as event {accepted.event}"
            show_json(accepted) if as_json else click.echo(shown)
            return
        if not _await(client, accepted.event, as_json):
            sys.exit(FAILED)


@command.command("cancel")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@service_options
@reported
def cancel(job_ids: tuple[str, ...], url: str, token_file: Path | None, as_json: bool) -> None:
    """Cancel jobs: at once when nobody works on them, else within seconds."""
    with open_client(url, token_file) as client:
        for job_id in job_ids:
            show_job(client.cancel(job_id), as_json)


@command.command("retry")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Convert again what is attached already.")
@service_options
@reported
def retry(
    job_ids: tuple[str, ...], force: bool, url: str, token_file: Path | None, as_json: bool
) -> None:
    """Queue finished jobs again."""
    with open_client(url, token_file) as client:
        for job_id in job_ids:
            show_job(client.retry(job_id, force=force), as_json)


@command.command("watch")
@click.argument("job_id", metavar="JOB")
@service_options
@reported
def watch(job_id: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Follow a job until it is finished; exits with 1 unless it succeeds or is skipped."""
    with open_client(url, token_file) as client:
        if not _follow(client, job_id, as_json):
            sys.exit(FAILED)


def _follow(client: AdminClient, job_id: str, as_json: bool) -> bool:
    while True:
        for name, document in client.watch(job_id):
            if as_json:
                click.echo(json.dumps({name: document}))
            elif name == "job":
                phase = f" ({document['phase']})" if document.get("phase") else ""
                click.echo(f"{moment(document['updated'])}  {document['state']}{phase}")
            else:
                done, size = document.get("done", 0), document.get("size", 0)
                click.echo(f"  {document.get('phase', '')} {done}/{size}", err=True)
        # A stream also ends after its longest time.
        job = client.job(job_id).job
        if job.finished:
            return job.state in WELL


def _await(client: AdminClient, event: int, as_json: bool) -> bool:
    from app.errors import VerilayerError

    while (outcome := client.event(event).outcome) is None:
        time.sleep(_POLL)
    if outcome.outcome != "jobs":
        raise VerilayerError(f"no job: {outcome.outcome} {outcome.reason}: {outcome.message}")
    # Every job is followed to its end, also after one that failed.
    ended = [_follow(client, job_id, as_json) for job_id in outcome.jobs]
    return all(ended)


def _show(view: JobView) -> None:
    job = view.job
    show_job(job, as_json=False)
    click.echo(f"  profiles {', '.join(job.profiles)}; attempts {job.attempts}")
    if job.failure is not None and job.failure.advice:
        click.echo(f"  advice: {job.failure.advice}")
    builds = {build.id: build for build in view.builds}
    for layer in job.layers:
        build = builds.get(layer.build)
        state = f"{build.state} {build.phase}".strip() if build else ""
        click.echo(f"  layer {layer.digest[:19]}  {layer.size} bytes  {layer.outcome}  {state}")
    for bundle in job.bundles:
        click.echo(f"  bundle {bundle.profile}  {bundle.digest}")
    for entry in job.history:
        click.echo(f"  {moment(entry.at)}  {entry.step} -> {entry.state}  {entry.note}".rstrip())
