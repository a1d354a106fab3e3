"""The demonstration's result as tables for people, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from workers.demo.attached import AttachedBundle


def print_bundles(console: Console, bundles: Sequence[AttachedBundle]) -> None:
    """Print one table for each platform."""
    for bundle in bundles:
        table = Table(
            title=f"{bundle.platform}  {bundle.subject}",
            caption=f"bundle {bundle.manifest.digest}, found {bundle.seconds:.1f} s after the push",
            title_justify="left",
            caption_justify="left",
        )
        table.add_column("layer", no_wrap=True)
        for name in ("compressed", "index", "tree", "signature"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("root hash", overflow="fold", min_width=32)
        for one in bundle.layers:
            table.add_row(
                one.layer.digest[7:19],
                decimal(one.layer.size),
                decimal(one.index.size),
                decimal(one.tree.size),
                decimal(one.signature.size),
                one.root_hash,
            )
        console.print(table)


def print_timings(console: Console, timings: Mapping[str, Mapping[str, float]]) -> None:
    """Print the seconds that each unit of work spent in each phase."""
    if not timings:
        return
    phases = sorted({phase for one in timings.values() for phase in one})
    table = Table(title="seconds by phase, as the ledger has them", title_justify="left")
    table.add_column("work", no_wrap=True)
    for phase in phases:
        table.add_column(phase, justify="right")
    for name, one in timings.items():
        table.add_row(name, *(f"{one[p]:.2f}" if p in one else "" for p in phases))
    console.print(table)


def as_json(
    bundles: Sequence[AttachedBundle], timings: Mapping[str, Mapping[str, float]]
) -> dict[str, object]:
    """Return the same facts as one JSON object."""
    return {
        "bundles": [
            {
                "platform": bundle.platform,
                "subject": bundle.subject,
                "bundle": bundle.manifest.digest,
                "seconds": round(bundle.seconds, 3),
                "layers": [
                    {
                        "layer": one.layer.digest,
                        "size": one.layer.size,
                        "index_digest": one.index.digest,
                        "index_size": one.index.size,
                        "tree_digest": one.tree.digest,
                        "tree_size": one.tree.size,
                        "signature_digest": one.signature.digest,
                        "root_hash": one.root_hash,
                    }
                    for one in bundle.layers
                ],
            }
            for bundle in bundles
        ],
        "timings": timings,
    }
