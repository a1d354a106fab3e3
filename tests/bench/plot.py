"""The bench as a picture: wall time of peer, ourselves and the limit; ratios above the bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw ``result`` to ``path``."""
    rows = result["layers"]
    figure, axes = plt.subplots(2, 1, figsize=(11, 8), constrained_layout=True)
    names = [f"{row['layer']}\n.{row['form']}" for row in rows]
    places = range(len(rows))
    series = [
        ("mkfs.erofs + veritysetup", [row["peer"]["wall"] for row in rows], "#9aa5b1", -0.27),
        ("verilayer", [row["ours"]["wall"] for row in rows], "#2563eb", 0.0),
        ("limit of this machine", [row["limit"]["wall"] for row in rows], "#86c5a4", 0.27),
    ]
    for label, values, color, shift in series:
        axes[0].bar([at + shift for at in places], values, 0.27, label=label, color=color)
    for at, row in zip(places, rows, strict=True):
        axes[0].text(at, row["ours"]["wall"], f"{row['speedup']:.1f}x", ha="center", va="bottom")
    axes[0].set_ylabel("wall seconds (median)")
    axes[0].set_title(
        f"{result['machine']['cpu']}, {result['machine']['cores']} cores, "
        f"{result['rounds']} rounds in turn"
    )
    axes[0].legend()
    parts = ("decompress", "digest", "leaves", "headers", "layout", "upper", "write")
    bottom = [0.0] * len(rows)
    for part in parts:
        values = [row["limit"][part] for row in rows]
        axes[1].bar(places, values, 0.6, bottom=bottom, label=part)
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    axes[1].set_ylabel("CPU seconds of each stage alone")
    axes[1].set_ylim(top=max(bottom) * 1.15)
    axes[1].legend(ncols=len(parts))
    for axis in axes:
        axis.set_xticks(list(places), names)
    figure.savefig(path, dpi=110)
    plt.close(figure)
