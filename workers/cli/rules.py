"""``verilayer rules``: check the configuration, and ask what it makes of a push."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workers.cli.exits import FAILED, reported

if TYPE_CHECKING:
    from app.config.model import ServiceConfig


@click.group()
def command() -> None:
    """Check the configuration, and ask which rule decides about a push."""


_CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file. [default: $VERILAYER_CONFIG_FILE or verilayer.yaml]",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@command.command("test")
@click.argument("subject", metavar="EVENT|REF")
@click.option("--registry", help="With EVENT: the registry whose endpoint would receive it.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME:VALUE", help="With EVENT: a header of it."
)
@_CONFIG
@_JSON
@reported
def test_rules(
    subject: str,
    registry: str | None,
    headers: tuple[str, ...],
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Say which rule matches, and why the earlier ones do not.

    REF is an image reference, such as registry.example/team/app:1.4. EVENT is a file with a webhook
    body ("-" reads standard input), read in the dialect of --registry; it is not authenticated.
    Exits with 1 when nothing would be converted.
    """
    config = _load(config_file)
    if subject == "-" or Path(subject).is_file():
        body = sys.stdin.buffer.read() if subject == "-" else Path(subject).read_bytes()
        answers = _from_event(config, registry, headers, body)
    else:
        answers = [_from_reference(config, subject)]
    for answer in answers:
        click.echo(json.dumps(answer)) if as_json else _show(answer)
    if not any(answer["action"] == "convert" for answer in answers):
        sys.exit(FAILED)


@command.command("check")
@_CONFIG
@_JSON
@reported
def check(config_file: Path | None, as_json: bool) -> None:
    """Validate the configuration; mistakes are shown as file:line:column."""
    from app.webhooks.endpoint import build_endpoints
    from app.webhooks.fetch import fetch

    config = _load(config_file)
    endpoints = build_endpoints(config, fetch)
    counts = {
        "registries": len(config.registries),
        "webhooks": len(endpoints),
        "rules": len(config.rules),
        "signers": len(config.signers),
    }
    if as_json:
        click.echo(json.dumps(counts))
    else:
        click.echo("valid: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from app.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


def _load(config_file: Path | None) -> ServiceConfig:
    from workers.composition import service_configuration

    return service_configuration(config_file)


def _from_reference(config: ServiceConfig, text: str) -> dict[str, Any]:
    from app.errors import ConfigurationError
    from app.jobs.push import PushEvent
    from app.jobs.triage import foretell
    from app.oci.reference import Reference

    try:
        reference = Reference.parse(text)
    except ValueError as error:
        raise ConfigurationError(
            str(error), advice="give an image reference with its host, or a file with an event"
        ) from None
    for registry in config.registries:
        if registry.reference_host == reference.registry:
            break
    else:
        raise ConfigurationError(f"no configured registry has the host {reference.registry}")
    place = {
        "registry": registry.id,
        "repository": reference.repository,
        "tag": reference.tag,
        "digest": reference.digest,
    }
    event = PushEvent(repository=reference.repository, tag=reference.tag, digest=reference.digest)
    return place | foretell(config, registry.id, event)


def _from_event(
    config: ServiceConfig, registry_id: str | None, headers: tuple[str, ...], body: bytes
) -> list[dict[str, Any]]:
    from app.errors import ConfigurationError
    from app.jobs.triage import foretell
    from app.webhooks.delivery import IGNORED, Delivery
    from app.webhooks.dialects.opening import open_parser

    registry = config.registry(registry_id or "")
    if registry is None or registry.webhook is None:
        raise ConfigurationError(
            f"registry {registry_id!r} has no webhook configured",
            advice="name one with --registry; its dialect reads the event",
        )
    pairs = (text.partition(":") for text in headers)
    delivery = Delivery({name.strip().lower(): value.strip() for name, _, value in pairs}, body)
    parsed = open_parser(registry.webhook.dialect)(delivery)
    place = {"registry": registry.id}
    answers: list[dict[str, Any]] = [
        place | {"action": "ignore", "reason": reason, "because": IGNORED[reason]}
        for reason in parsed.ignored
    ]
    for event in parsed.events:
        placed = event.under(registry.webhook.repository_prefix)
        named = place | {"repository": placed.repository, "tag": event.tag, "digest": event.digest}
        answers.append(named | foretell(config, registry.id, placed))
    return answers


def _show(answer: dict[str, Any]) -> None:
    name = answer.get("repository", "(no push)")
    tag = f":{answer['tag']}" if answer.get("tag") else ""
    click.echo(f"{answer['registry']}  {name}{tag}")
    for verdict in answer.get("verdicts", ()):
        mark = "matches" if verdict["matches"] else "no match"
        click.echo(f"  rule {verdict['rule']}: {mark}: {verdict['because']}")
    if answer["action"] == "ignore":
        click.echo(f"  ignored ({answer['reason']}): {answer['because']}")
    else:
        click.echo(
            f"  converted to {', '.join(answer['profiles'])}, signer {answer['signer'] or 'none'},"
            f" priority {answer['priority']}, platforms {', '.join(answer['platforms'])}"
        )
