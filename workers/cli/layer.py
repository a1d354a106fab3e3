"""``verilayer layer``: build a layer's index and hash tree from a file, without any network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from app.catalog.builders import DEFAULT_BUILDER, offered
from app.catalog.vocabulary import Layout, Padding


@click.group()
def command() -> None:
    """Build layers from local files; needs no network, registry or configuration."""


def _digest(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from app.oci.digest import Digest

    try:
        return None if value is None else Digest(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@command.command("build")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--layer-digest",
    callback=_digest,
    metavar="sha256:HEX",
    help="Digest of the layer in its manifest; UUIDs derive from it. Default: the file's own.",
)
@click.option("--uuid", type=click.UUID, help="UUID of the index, instead of the derived one.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write NAME.index.erofs and NAME.tree.verity there; without it, only compute.",
)
@click.option(
    "--builder-version",
    type=click.Choice(offered()),
    default=DEFAULT_BUILDER,
    show_default=True,
    help="The mkfs.erofs whose bytes to equal.",
)
@click.option(
    "--layout",
    type=click.Choice(get_args(Layout)),
    default="device-table",
    show_default=True,
    help="device-table: as mkfs.erofs writes it; single-device: what stock containerd can run.",
)
@click.option(
    "--padding",
    type=click.Choice([str(size) for size in get_args(Padding)]),
    default="512",
    show_default=True,
    help="Alignment of the verity data area in bytes.",
)
@click.option(
    "--spool",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="VERILAYER_SPOOL_DIR",
    show_envvar=True,
    help="Scratch space for 1/16 of the layer. Default: in the system's temporary folder.",
)
@click.option("--refuse-lossy", is_flag=True, help="Refuse layers that lose content silently.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line per file.")
@click.pass_context
def build(ctx: click.Context, /, files: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Build the EROFS tar index and dm-verity tree of each FILE (.tar, .tar.gz, .tar.zst or -).

    \b
    Each FILE is read once, as a stream; "-" is standard input. What a file is
    compressed with is told from its content.

    \b
    Example:
      verilayer layer build rootfs.tar.gz --out build
      cat build/rootfs.index.erofs rootfs.tar > blob
      veritysetup verify blob build/rootfs.tree.verity ROOT_HASH

    Exit status 1: a file was refused (and the others were built); 2: wrong usage.
    """
    from workers.cli.layerbuild import Request, build_files
    from workers.cli.layerreport import json_report, text_report

    request = Request(
        layer_digest=options["layer_digest"],
        uuid=options["uuid"],
        out=options["out"],
        builder_version=options["builder_version"],
        layout=options["layout"],
        padding=int(options["padding"]),
        spool=options["spool"],
        refuse_lossy=options["refuse_lossy"],
    )
    report = json_report() if as_json else text_report()
    if not build_files(files, request, report):
        ctx.exit(1)


@command.command("dump")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: file and lines.")
@click.pass_context
def dump(ctx: click.Context, /, file: Path, as_json: bool) -> None:
    """Print the index FILE (NAME.index.erofs) as text, one line an inode.

    Two indexes that differ are compared best with diff over their dumps.

    Exit status 1: FILE is no index.
    """
    import json

    from workers.formats.erofs.dump import dump as lines_of
    from workers.formats.errors import FormatError

    try:
        lines = list(lines_of(file.read_bytes()))
    except FormatError as error:
        if as_json:
            refusal = {"file": str(file), "error": error.code, "detail": str(error)}
            click.echo(json.dumps(refusal))
        else:
            click.echo(f"refused: {file}: {error} [{error.code}]", err=True)
        ctx.exit(1)
    click.echo(json.dumps({"file": str(file), "lines": lines}) if as_json else "\n".join(lines))
