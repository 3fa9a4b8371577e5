"""The cores of a chip: how full they are, and what travels between their tiles."""

import io
import os
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from neuromorph.files import atomic_write
from neuromorph.hardware import HardwareProfile
from neuromorph.mapping import ChipMap, Mesh, Traffic
from neuromorph.report.style import BLUE, INK, MUTED, SMALL, VERMILLION, new_axis

THICKEST = 6.0  # points, of the link with most messages


def core_grid(found: ChipMap, traffic: Traffic, profile: HardwareProfile, ax: Axes | None = None) -> Axes:
    """Tiles of all chips with their cores, blue as far as the fullest resource of a core is used; red links between tiles, the thicker
    the more messages pass (XY routing).
    """
    mesh = found.mesh
    columns, rows = mesh.side * mesh.columns, -(-mesh.chips // mesh.side) * mesh.rows
    ax = new_axis(ax, width=max(360.0, 45.0 * columns), height=max(200.0, 45.0 * rows + 40))
    full = found.fullness(profile)
    for core in range(mesh.n_cores):
        x, y, level = *_corner(mesh, core), full.get(core, 0.0)
        ax.add_patch(Rectangle((x, y), 0.28, 0.28, fill=False, edgecolor=MUTED, linewidth=0.5))
        ax.add_patch(Rectangle((x, y), 0.28, 0.28 * level, color=BLUE, linewidth=0))
    links = link_messages(found, traffic)
    heaviest = max(links.values(), default=0.0)
    if links:
        widths = [0.3 + THICKEST * count / heaviest for count in links.values()]
        ax.add_collection(LineCollection([list(ends) for ends in links], linewidths=widths, colors=VERMILLION, alpha=0.55, zorder=0))
    ax.set_xlim(-0.6, columns - 0.4)
    ax.set_ylim(rows - 0.4, -0.6)
    ax.set_aspect("equal")
    ax.set_axis_off()
    told = f"{found.partition.n_cores} cores of {profile.id}; {heaviest:,.0f} messages over the heaviest link"
    ax.set_title(told, color=INK, fontsize=SMALL, loc="left")
    return ax


type Tile = tuple[int, int]


def link_messages(found: ChipMap, traffic: Traffic) -> dict[tuple[Tile, Tile], float]:
    """Messages over each link between neighbouring tiles, both directions together; along the row first."""
    links: dict[tuple[Tile, Tile], float] = {}
    x, y, _ = found.mesh.position(found.placement.slot)
    routes = [((x[a], y[a]), (x[b], y[b]), traffic.between[a, b]) for a, b in zip(*np.nonzero(traffic.between))]
    routes += [((0, 0), (x[b], y[b]), traffic.entering[b]) for b in np.flatnonzero(traffic.entering)]
    for (ax, ay), (bx, by), messages in routes:
        path = [(i, int(ay)) for i in _steps(int(ax), int(bx))] + [(int(bx), j) for j in _steps(int(ay), int(by))[1:]]
        for ends in pairwise(path):
            link = min(ends), max(ends)
            links[link] = links.get(link, 0.0) + float(messages)
    return links


def _steps(a: int, b: int) -> list[int]:
    return list(range(a, b + 1)) if b >= a else list(range(a, b - 1, -1))


def _corner(mesh: Mesh, core: int) -> tuple[float, float]:
    """Upper left corner of a core's square: the cores of a tile lie around its middle."""
    x, y, _ = mesh.position(np.array([core]))
    inside = core % mesh.cores_per_tile
    side = int(np.ceil(np.sqrt(mesh.cores_per_tile)))
    return float(x[0]) - 0.3 + 0.6 * (inside % side) / side, float(y[0]) - 0.3 + 0.6 * (inside // side) / side


def plot_cores(found: ChipMap, traffic: Traffic, profile: HardwareProfile, path: str | os.PathLike[str]) -> None:
    """Write the picture of a map; its format follows the name (.png, .svg, .pdf)."""
    figure = core_grid(found, traffic, profile).get_figure(root=True)
    assert figure is not None, "an axis has a figure"
    picture = io.BytesIO()
    figure.savefig(picture, format=os.fspath(path).rpartition(".")[2], dpi=110, facecolor="white")
    atomic_write(path, picture.getvalue())
