"""Command tree. Sub-commands load lazily so that ``verilayer layer build`` starts fast."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

#: Command -> (module that holds it, one line for ``--help``). Modules expose ``command``.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "convert": ("workers.cli.convert", "Convert an image here and now, without the service."),
    "demo": ("workers.cli.demo", "Push a real image to a real registry, show what is attached."),
    "inspect": ("workers.cli.inspect", "Show an image's layers and what is attached to it."),
    "layer": ("workers.cli.layer", "Build a layer's index and hash tree from a local file."),
    "node": ("workers.cli.node", "Fill containerd's layer cache with verified layers."),
    "prune": ("workers.cli.prune", "Remove our bundles that nobody needs any more."),
    "rules": ("workers.cli.rules", "Check the configuration; ask which rule decides."),
    "sweep": ("workers.cli.sweep", "Find images whose bundles are missing, and queue them."),
    "copy": ("workers.cli.copy", "Copy an image with its bundles to another registry or layout."),
    "republish": ("workers.cli.republish", "Move bundles to another profile without building."),
    "sign": ("workers.cli.sign", "Sign offline: prepare root hashes, push signatures."),
    "verify": ("workers.cli.verify", "Check what is attached to an image; --deep rebuilds it."),
    "jobs": ("workers.cli.jobs", "See and steer the service's jobs, over its admin API."),
    "batches": ("workers.cli.batches", "Convert known images again in bulk."),
    "dead": ("workers.cli.dead", "List, requeue or drop dead letters."),
    "up": ("workers.cli.up", "Run the whole service on this host until Ctrl-C."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands without importing them."""
        if not COMMANDS:
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="verilayer")
def main() -> None:
    """Convert image layers to signed EROFS tar index + dm-verity bundles."""
