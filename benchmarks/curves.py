"""A picture of learning curves: median and quartiles over seeds by condition, and lines at numbers to hold them against."""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from neuromorph.files import atomic_write
from neuromorph.report import style

COLOURS = (style.INK, style.ORANGE, style.BLUE, style.GREEN, style.VERMILLION, style.SKY)


def curves(runs: Sequence[Mapping[str, Any]], x: str, y: str) -> dict[str, tuple[list[float], np.ndarray]]:
    """By condition the common x and the rows [seeds, points] of y, as far as every seed has come; each run has lists of both names."""
    found = {}
    for condition in dict.fromkeys(run["condition"] for run in runs):
        chosen = [run for run in runs if run["condition"] == condition]
        length = min(len(run[y]) for run in chosen)
        found[condition] = (chosen[0][x][:length], np.array([run[y][:length] for run in chosen]))
    return found


def draw(
    path: Path,
    found: Mapping[str, tuple[list[float], np.ndarray]],
    axes: tuple[str, str],
    lines: Mapping[str, float],
    limits: tuple[float, float] | None = None,
) -> None:
    """Write the picture. `axes`: their names; `lines`: heights by name; `limits` of the heights shown."""
    ax = style.new_axis(None, 620.0, 340.0)
    for colour, (name, (x, rows)) in zip(cycle(COLOURS), found.items()):
        low, middle, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
        ax.plot(x, middle, color=colour, label=f"{name} ({len(rows)})", linewidth=1.5)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    for dash, (name, height) in zip(cycle(("--", ":", "-.")), lines.items()):
        ax.axhline(height, linestyle=dash, color=style.PURPLE, label=name, linewidth=1.2)
    if limits is not None:
        ax.set_ylim(*limits)
    style.label(ax, *axes)
    style.legend(ax)
    figure = ax.get_figure(root=True)
    assert figure is not None
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, facecolor="white", transparent=False)
    atomic_write(path, buffer.getvalue())
