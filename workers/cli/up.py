"""``verilayer up``: the whole service on this host, in one command."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from threading import Event
from types import FrameType

import click

from workers.cli.exits import reported

_EPHEMERAL = """\
************************************************************************
* WARNING: signer '{name}' uses an EPHEMERAL key made on this machine.
* Its signatures prove nothing to anybody else. Never point nodes that
* matter at them; docs/keys.md says how to use a real key.
************************************************************************"""


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file; a first one is written when there is none. [default: verilayer.yaml]",
)
@click.option(
    "--state",
    "state_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of everything the service keeps: Redis data, keys, audit log. [default: .state]",
)
@click.option("--host", help="Address the API listens on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the API. [default: 8080]")
@click.option("--concurrency", type=click.IntRange(1), help="Layers built at once. [default: 2]")
@click.option(
    "--registry",
    default="http://127.0.0.1:5000",
    show_default=True,
    help="URL of the registry that a first configuration file names.",
)
@click.option("--no-redis", is_flag=True, help="Use the Redis of VERILAYER_REDIS_URL instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
@reported
def command(
    config_file: Path | None,
    state_dir: Path | None,
    host: str | None,
    port: int | None,
    concurrency: int | None,
    registry: str,
    no_redis: bool,
    as_json: bool,
) -> None:
    """Run the whole service here until Ctrl-C.

    Starts a private Redis, the API, a worker and the clock of sweeps, restarts what crashes, and
    stops everything in order. Options not given come from VERILAYER_* variables.

    \b
    Point a registry's notifications at the URL that is printed, then push:
      verilayer up
      skopeo copy docker-archive:image.tar docker://127.0.0.1:5000/team/app:1
    """
    from app.catalog.signers import SIGNERS
    from app.config.file import load_config
    from app.observability import exposition, logging
    from app.settings import Settings
    from workers.supervisor import first_start, private_redis, services
    from workers.supervisor.supervisor import Supervisor

    settings = Settings()
    state = state_dir or settings.state_dir
    config = config_file or settings.config_file
    log_format = "console" if sys.stderr.isatty() else settings.log_format
    logging.configure(log_format, settings.log_level)
    with first_start.exclusive(state):
        wrote = first_start.write_configuration(config, state, registry)
        # A mistake in the file is told here, before anything starts.
        loaded = load_config(config)
        ephemeral = [one.name for one in loaded.signers if SIGNERS[one.kind].ephemeral]
        token = first_start.configured_token(loaded, state)
        exposition.clear_directory(state / "metrics")
        specs = []
        redis_url = settings.redis_url.get_secret_value()
        if not no_redis:
            spec, redis_url = private_redis.configure(state / "redis")
            specs.append(spec)
        service = services.Service(
            state=state,
            config_file=config,
            redis_url=redis_url,
            host=host or settings.host,
            port=port or settings.port,
            concurrency=concurrency or settings.worker_concurrency,
            log_format=log_format,
        )
        specs += [services.worker(service), services.beat(service), services.api(service)]
        supervisor = Supervisor(specs, _stop_event())
        for name in ephemeral:
            click.echo(_EPHEMERAL.format(name=name), err=True)
        supervisor.run(
            lambda: _announce(service.url, config, state, wrote, token, supervisor, as_json)
        )


def _stop_event() -> Event:
    stop = Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    return stop


def _announce(
    url: str,
    config: Path,
    state: Path,
    wrote: bool,
    token: Path | None,
    supervisor: object,
    as_json: bool,
) -> None:
    from workers.supervisor.supervisor import Supervisor

    assert isinstance(supervisor, Supervisor)
    facts = {
        "ready": True,
        "api": url,
        "webhooks": f"{url}/webhooks/{{registry-id}}",
        "metrics": f"{url}/metrics",
        "console": f"{url}/console",
        "admin_token_file": None if token is None else str(token),
        "config": str(config.resolve()),
        "state": str(state.resolve()),
        "wrote_config": wrote,
        "processes": supervisor.pids(),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    if wrote:
        click.echo(f"wrote {config} (a registry on this machine, an ephemeral signing key)")
    if token is not None:
        click.echo(f"admin token in {token}   console {url}/console")
    click.echo(
        f"verilayer is ready: {url}   webhooks {url}/webhooks/{{registry-id}}   "
        f"state {state}   stop with Ctrl-C"
    )
