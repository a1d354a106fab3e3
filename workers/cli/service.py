"""What commands over the admin API share: the service's address, the token, how records show."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pydantic import BaseModel

    from app.jobs.records import Job
    from workers.cli.client import AdminClient

T = TypeVar("T", bound="BaseModel")

TOKEN_VARIABLE = "VERILAYER_TOKEN"  # noqa: S105 - the variable's name


def service_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--url``, ``--token-file`` and ``--json``."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line."),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"File with the API token. [default: the token in ${TOKEN_VARIABLE}]",
        ),
        click.option(
            "--url",
            default="http://127.0.0.1:8080",
            envvar="VERILAYER_URL",
            show_default=True,
            show_envvar=True,
            help="Base address of the service.",
        ),
    ):
        command = option(command)
    return command


def open_client(url: str, token_file: Path | None) -> AdminClient:
    """Return a client; raises ``ConfigurationError`` when there is no token."""
    import os

    from app.errors import ConfigurationError
    from workers.cli.client import AdminClient

    advice = f"give --token-file FILE, or set {TOKEN_VARIABLE}"
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token_file is not None:
        try:
            token = token_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read {token_file}: {error}", advice=advice) from None
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigurationError("there is no usable API token", advice=advice)
    return AdminClient(url, token)


def request_of(model: type[T], **fields: object) -> T:
    """Build a request; raises ``click.UsageError`` for what the API would refuse."""
    from pydantic import ValidationError

    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise click.UsageError(f"{where}: {first['msg']}") from None


def show_json(record: BaseModel) -> None:
    """Print a record as one line."""
    click.echo(record.model_dump_json())


def show_job(job: Job, as_json: bool) -> None:
    """Print a job: as JSON, or what people look for first."""
    if as_json:
        show_json(job)
        return
    failure = f"  {job.failure.code}: {job.failure.message}" if job.failure else ""
    tag = f":{job.tag}" if job.tag else ""
    click.echo(
        f"{job.id}  {job.state:9}  {moment(job.updated)}  {job.registry}/{job.repository}{tag}"
        f"@{job.digest[:19]}{failure}"
    )


def moment(at: float) -> str:
    """Show a time, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def counts(numbers: dict[str, Any]) -> str:
    """Show numbers by name."""
    return ", ".join(f"{number} {name}" for name, number in numbers.items()) or "none"
