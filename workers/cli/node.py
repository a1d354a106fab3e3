"""``verilayer node``: fill, inspect, trim and follow the layer content cache of one node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from app.catalog.vocabulary import Layout, TrustPolicy
from workers.cli.exits import FAILED, reported

_PATH = click.Path(path_type=Path)
_CACHE = click.option(
    "--cache",
    required=True,
    type=_PATH,
    envvar="VERILAYER_NODE_CACHE",
    show_envvar=True,
    help="Absolute path, as in containerd's layer_content_caches.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SNAPSHOTTER = click.option(
    "--snapshotter",
    "snapshotters",
    multiple=True,
    type=_PATH,
    help="Directory of the EROFS snapshotter.  "
    "[default: /var/lib/containerd/io.containerd.snapshotter.v1.erofs]",
)


#: Options of everything that fills a cache.
_FILLING_OPTIONS = (
    _CACHE,
    click.option(
        "--trust",
        multiple=True,
        type=_PATH,
        help="PEM file of signer or CA certificates to believe; repeatable.",
    ),
    click.option(
        "--policy",
        type=click.Choice(get_args(TrustPolicy)),
        default="require-signed",
        show_default=True,
        help="prefer-signed also takes unsigned bundles, after rebuilding their indexes, "
        "and leaves images without a bundle to containerd.",
    ),
    click.option(
        "--layout",
        type=click.Choice(get_args(Layout)),
        default="single-device",
        show_default=True,
        help="single-device runs on stock containerd; device-table keeps the signed form.",
    ),
    click.option(
        "--sidecar",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Write .dmverity files: auto does where this kernel has dm-verity.",
    ),
    click.option("--platform", default="", help="Such as linux/arm64.  [default: this machine's]"),
    click.option(
        "--parallel",
        type=click.IntRange(1, 64),
        default=3,
        show_default=True,
        help="Layers at once.",
    ),
    click.option(
        "--config",
        type=_PATH,
        help="Configuration file with registries and credentials; without it Docker's "
        "config.json is used where there is one.",
    ),
    click.option(
        "--plain-http",
        multiple=True,
        metavar="HOST",
        help="A registry host[:port] to speak to without TLS; repeatable.",
    ),
)


def _filling(command: Callable[..., None]) -> Callable[..., None]:
    """Options of everything that fills a cache."""
    for option in reversed(_FILLING_OPTIONS):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Fill, inspect and trim the layer content cache of a node with containerd 2.4 or newer."""


@command.command("fetch")
@click.argument("references", nargs=-1, required=True, metavar="REF...")
@_filling
@_JSON
@click.pass_context
@reported
def fetch(ctx: click.Context, /, references: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Put the verified layers of each REF where containerd finds them instead of downloading.

    \b
    Layers that are in the cache are left alone, so it may run as often as you like.

    \b
    Example:
      verilayer node fetch registry.example/app:1 --cache /var/lib/verilayer/cache --trust ca.pem
      ctr image pull --snapshotter erofs registry.example/app:1     (fetches no layer)

    Exit status 1: a layer failed; 3: no bundle may be used; 4: the registry failed.
    """
    from workers.node.cache import ContentCache
    from workers.node.fetch import fetch_image

    cache = ContentCache(given["cache"])
    options = _options(given)
    registries = _registries(given)
    failed = False
    try:
        for text in references:
            reference = _reference(text)
            report = fetch_image(registries.repository(reference), reference, cache, options)
            failed = failed or not report.ok
            click.echo(json.dumps(report.to_json()) if as_json else _text(report))
    finally:
        registries.close()
    if failed:
        ctx.exit(FAILED)


@command.command("status")
@_CACHE
@_SNAPSHOTTER
@_JSON
@reported
def status(cache: Path, snapshotters: tuple[Path, ...], as_json: bool) -> None:
    """List the entries of a cache, who signed them and whether a snapshot needs them."""
    from workers.node.status import read_status

    found = read_status(cache, snapshotters)
    click.echo(json.dumps(found.to_json()) if as_json else found.to_text())


@command.command("prune")
@_CACHE
@_SNAPSHOTTER
@click.option(
    "--min-age",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="Keep entries younger than this, in seconds.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@_JSON
@reported
def prune_command(
    cache: Path, snapshotters: tuple[Path, ...], min_age: float, dry_run: bool, as_json: bool
) -> None:
    """Remove entries that no snapshot of containerd needs."""
    from workers.node.cache import ContentCache
    from workers.node.prune import prune
    from workers.node.references import DEFAULT_SNAPSHOTTER

    report = prune(
        ContentCache(cache),
        snapshotters or (DEFAULT_SNAPSHOTTER,),
        min_age=min_age,
        dry_run=dry_run,
    )
    if as_json:
        click.echo(json.dumps(report.to_json()))
        return
    verb = "would remove" if dry_run else "removed"
    click.echo(
        f"{verb} {len(report.removed)} entries, {report.freed / 1e6:.1f} MB; "
        f"{len(report.in_use)} in use, {len(report.young)} young"
    )


@command.command("watch")
@_filling
@click.option(
    "--references",
    type=_PATH,
    help="File with one reference a line; read again whenever something is due.",
)
@click.option(
    "--kubernetes",
    is_flag=True,
    help="Follow the images of the pods on this node (NODE_NAME) in the cluster this runs in.",
)
@click.option(
    "--refresh",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    help="Resolve each reference again after so many seconds.",
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics there."
)
@reported
def watch(
    references: Path | None,
    kubernetes: bool,
    refresh: float,
    metrics_port: int | None,
    **given: Any,
) -> None:
    """Keep the cache filled for a list of references, or for the pods of this node, until stopped.

    Give --references, --kubernetes or both.
    """
    from app.errors import ConfigurationError
    from workers.node.cache import ContentCache
    from workers.node.daemon import Sources, run

    if references is None and not kubernetes:
        raise ConfigurationError("nothing to follow", advice="give --references or --kubernetes")
    registries = _registries(given)
    sources = Sources(references, kubernetes)
    try:
        run(sources, registries, ContentCache(given["cache"]), _options(given), refresh,
            metrics_port)  # fmt: skip
    finally:
        registries.close()


def _options(given: dict[str, Any]) -> Any:
    from app.errors import ConfigurationError
    from workers.node.fetch import DM_VERITY, FetchOptions
    from workers.verification.trust import Trust

    if given["policy"] == "require-signed" and not given["trust"]:
        raise ConfigurationError(
            "the policy require-signed needs certificates to believe",
            advice="give --trust FILE, or --policy prefer-signed",
        )
    sidecar = given["sidecar"] == "always" or (given["sidecar"] == "auto" and DM_VERITY.exists())
    return FetchOptions(
        trust=Trust.from_files(given["trust"]),
        policy=given["policy"],
        layout=given["layout"],
        sidecar=sidecar,
        platform=given["platform"],
        parallel=given["parallel"],
    )


def _registries(given: dict[str, Any]) -> Any:
    from app.config.file import load_config
    from workers.node.connect import Registries

    configured = load_config(given["config"]).registries if given["config"] else ()
    return Registries(configured, plain_http=given["plain_http"])


def _reference(text: str) -> Any:
    from app.errors import ConfigurationError
    from app.oci.reference import Reference

    try:
        return Reference.parse(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _text(report: Any) -> str:
    if report.bundle is None:
        return f"{report.reference}: no bundle; containerd pulls it as without a cache"
    lines = [f"{report.reference}: {report.profile} bundle {report.bundle}"]
    for layer in report.layers:
        detail = f"FAILED: {layer.error}" if layer.error else f"{layer.size / 1e6:.1f} MB"
        if layer.action == "filled":
            detail += f", fetched {layer.fetched / 1e6:.1f} MB in {layer.seconds:.2f} s"
        if layer.error is None:
            detail += f", signed by {layer.signer}" if layer.signer else ", unsigned, rebuilt"
        lines.append(f"  {layer.action:8}{layer.layer} {detail}")
    return "\n".join(lines)
