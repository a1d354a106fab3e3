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
        console.print(f"\n[bold]{bundle.platform}[/]  {bundle.subject}", soft_wrap=True)
        console.print(
            f"bundle {bundle.manifest.digest}, found {bundle.seconds:.1f} s after the push",
            soft_wrap=True,
        )
        table = Table("layer")
        for name in ("compressed", "index", "tree", "signature"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("root hash", overflow="fold")
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
    """Print the seconds that each unit spent in each phase, without the CPU time of its threads."""
    if not timings:
        return
    phases = sorted({p for one in timings.values() for p in one if not p.startswith("cpu-")})
    console.print("\nseconds by phase, as the ledger has them")
    table = Table()
    table.add_column("work", no_wrap=True)
    for phase in phases:
        table.add_column(phase, justify="right", no_wrap=True)
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
