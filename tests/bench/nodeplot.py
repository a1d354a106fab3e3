"""The node's bench as a picture: seconds of each way, stacked by phase, and bytes sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLORS = {"fetch": "#2563eb", "pull": "#9aa5b1", "run": "#86c5a4"}


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw ``result`` to ``path``."""
    modes = result["modes"]
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    names = [f"{name}\n(does not start)" if name == "tar-index" else name for name in modes]
    left = [0.0] * len(modes)
    for phase, color in _COLORS.items():
        seconds = [one[phase] for one in modes.values()]
        axes[0].barh(names, seconds, left=left, label=phase, color=color)
        left = [low + value for low, value in zip(left, seconds, strict=True)]
    axes[0].set_xlabel("seconds (median)")
    axes[0].legend()
    sent = [one["bytes"] for one in modes.values()]
    axes[1].barh(names, sent, color="#9aa5b1")
    axes[1].set_xscale("log")
    axes[1].set_xlabel("bytes sent by the registry")
    for at, value in enumerate(sent):
        axes[1].text(value, at, f" {value:,}", va="center", fontsize=8)
    for axis in axes:
        axis.invert_yaxis()
    figure.suptitle(
        f"Cold start of a {result['tar_bytes'] / 1e6:.0f} MB layer, registry on the same host, "
        f"{result['machine']['cores']} cores, {result['rounds']} rounds in turn"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)
