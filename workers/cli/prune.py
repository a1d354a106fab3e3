"""``verilayer prune``: remove our bundles that are superseded or whose image is gone."""

from __future__ import annotations

import json

import click

from workers.cli.exits import reported


@click.command()
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@click.option(
    "--repository", "repositories", multiple=True, metavar="NAME", help="Only this repository."
)
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@reported
def command(
    registries: tuple[str, ...], repositories: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Remove bundles of ours that nobody needs, in all configured registries by default.

    Ours are those that the ledger remembers, that a configured key signed, or that have our own
    unsigned format; what others attached is never touched. The newest whole bundle stays.
    """
    from workers.composition import context_from_environment
    from workers.sweep.opening import chosen_registries, open_prune

    context = context_from_environment()
    active = context.current()
    count = 0
    for each in chosen_registries(active.config, registries):
        registry = context.registry(each)
        prune = open_prune(
            active.config, registry, context.engine, active.authority, dry_run=dry_run
        )
        for pruned in prune.run(repositories):
            count += 1
            if as_json:
                click.echo(
                    json.dumps(
                        {
                            "registry": each.id,
                            "repository": pruned.repository,
                            "subject": pruned.subject,
                            "bundle": pruned.bundle,
                            "artifact_type": pruned.artifact_type,
                            "why": pruned.why,
                            "removed": not dry_run,
                        }
                    )
                )
            else:
                click.echo(f"{pruned.why:12} {pruned.repository}@{pruned.bundle}")
    if not as_json:
        click.echo(f"{count} bundles {'would go' if dry_run else 'removed'}")
