"""The cores of a chip: how full they are, and what travels between their tiles."""

import io
import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from neuromorph.files import atomic_write
from neuromorph.hardware import HardwareProfile
from neuromorph.mapping import ChipMap, Mesh, Traffic
from neuromorph.report.style import BLUE, INK, MUTED, SMALL, VERMILLION, new_axis
from neuromorph.shapes import Float64

THICKEST, THINNEST = 7.0, 0.3  # points, of the links with most and with next to no messages
ROOMY = 38.0  # points a tile, below which links are thinner
WIDE = 330.0  # points of an axis, from which on keys stand side by side
TILE = 0.32  # half the width of a tile; tiles lie one apart


def core_grid(found: ChipMap, traffic: Traffic, profile: HardwareProfile, ax: Axes | None = None) -> Axes:
    """Tiles of all chips with their cores, blue from below as far as the fullest resource of a core is used; links between tiles, the
    thicker the more messages pass (XY routing); where there are several chips, a dashed border around each.
    """
    mesh = found.mesh
    columns, rows = _size(mesh)
    width = max(440.0, 50.0 * columns)
    ax = new_axis(ax, width, max(200.0, min(width / columns, 75.0) * rows + 85))
    corner, full = _corners(mesh), found.fullness(profile)
    side = 2 * TILE / _across(mesh) - 0.03
    ax.add_collection(PolyCollection(list(_boxes(corner, side, np.ones(len(corner)))), facecolors="none", edgecolors=MUTED, linewidths=0.5))
    level = np.array([full.get(core, 0.0) for core in range(mesh.n_cores)])
    ax.add_collection(PolyCollection(list(_boxes(corner, side, level)), facecolors=BLUE, linewidths=0, label="used"))
    wide, tile = _points(ax, columns, rows)
    room = min(1.0, tile / ROOMY)
    heaviest = _draw_links(ax, *link_messages(found, traffic), room)
    if mesh.chips > 1:
        _draw_borders(ax, mesh, tile)
    ax.plot(-0.5, 0, marker=">", color=INK, markersize=6, linestyle="none", clip_on=False)
    ax.set_xlim(-0.6, columns - 0.4)
    ax.set_ylim(rows - 0.4, -0.6)
    ax.set_aspect("equal")
    ax.set_axis_off()
    _explain(ax, heaviest, room, 2 if wide >= WIDE else 1, several=mesh.chips > 1)
    chips = f"{mesh.chips} chips" if mesh.chips > 1 else "one chip"
    cores = found.partition.n_cores
    ax.set_title(f"{cores} core{'s' if cores > 1 else ''} of {profile.id}, {chips}", color=INK, fontsize=SMALL, loc="left")
    return ax


def link_messages(
    found: ChipMap, traffic: Traffic
) -> tuple[Float64[np.ndarray, "rows columns_less_one"], Float64[np.ndarray, "rows_less_one columns"]]:
    """Messages over each link between neighbouring tiles, both directions together: along the rows, along the columns. A message goes
    along its sender's row first; what comes from outside starts at the first tile.
    """
    columns, rows = _size(found.mesh)
    x, y, _ = found.mesh.position(found.placement.slot)
    every = np.vstack([traffic.between, traffic.entering])
    a, b = np.nonzero(every)
    (ax, ay), (bx, by), messages = (np.append(x, 0)[a], np.append(y, 0)[a]), (x[b], y[b]), every[a, b]
    along, down = np.zeros((rows, columns)), np.zeros((rows, columns))
    np.add.at(along, (ay, np.minimum(ax, bx)), messages)
    np.subtract.at(along, (ay, np.maximum(ax, bx)), messages)
    np.add.at(down, (np.minimum(ay, by), bx), messages)
    np.subtract.at(down, (np.maximum(ay, by), bx), messages)
    along, down = along.cumsum(1)[:, :-1], down.cumsum(0)[:-1]
    least = 1e-9 * float(messages.sum())  # what differences of sums leave
    return np.where(along > least, along, 0.0), np.where(down > least, down, 0.0)


def _points(ax: Axes, columns: int, rows: int) -> tuple[float, float]:
    """Width of an axis and of a tile on it."""
    width, height = (72 * size / ax.figure.dpi for size in (ax.bbox.width, ax.bbox.height))
    return width, min(width / columns, height / rows)


def _draw_links(ax: Axes, along: np.ndarray, down: np.ndarray, room: float) -> float:
    """Lines from tile to tile; gives the messages over the heaviest."""
    heaviest = max(along.max(initial=0.0), down.max(initial=0.0))
    (y, x), (v, u) = np.nonzero(along), np.nonzero(down)
    lines = [((i + TILE, j), (i + 1 - TILE, j)) for i, j in zip(x, y)] + [((i, j + TILE), (i, j + 1 - TILE)) for i, j in zip(u, v)]
    widths = [_width(messages / heaviest, room) for messages in np.concatenate([along[y, x], down[v, u]])]
    ax.add_collection(LineCollection(lines, linewidths=widths, colors=VERMILLION, capstyle="butt", label="links"))
    return float(heaviest)


def _width(share: float, room: float) -> float:
    return THINNEST + (THICKEST * room - THINNEST) * share


def _draw_borders(ax: Axes, mesh: Mesh, tile: float) -> None:
    for chip in range(mesh.chips):
        x, y = chip % mesh.side * mesh.columns - 0.47, chip // mesh.side * mesh.rows - 0.47
        frame = Rectangle((x, y), mesh.columns - 0.06, mesh.rows - 0.06, fill=False, edgecolor=INK, linestyle="--", linewidth=0.9)
        frame.set_label(f"chip {chip}")
        ax.add_patch(frame)
        size = np.clip(0.15 * tile, 4.0, 7.0)
        ax.annotate(f"chip {chip}", (x, y), xytext=(3, -1), textcoords="offset points", va="top", fontsize=size, color=INK)


def _explain(ax: Axes, heaviest: float, room: float, columns: int, *, several: bool) -> None:
    """What colours, widths and marks mean, below the tiles."""
    keys: list[Patch | Line2D] = [Patch(facecolor=BLUE, label="used share of a core's fullest resource")]
    for share, what in ((1.0, "messages, the heaviest link"), (0.1, "messages")) if heaviest else ():
        keys.append(Line2D([], [], color=VERMILLION, linewidth=_width(share, room), label=f"{_told(share * heaviest)} {what}"))
    keys.append(Line2D([], [], color=INK, marker=">", markersize=6, linestyle="none", label="where input enters"))
    if several:
        keys.append(Line2D([], [], color=INK, linestyle="--", linewidth=0.9, label="border of a chip"))
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "ncols": columns, "borderaxespad": 0.2}
    ax.legend(handles=keys, **place, frameon=False, fontsize=SMALL - 2, labelcolor=INK, handlelength=1.6, columnspacing=1.2)


def _told(messages: float) -> str:
    return f"{messages:,.0f}" if messages >= 10 else f"{messages:.2g}"


def _size(mesh: Mesh) -> tuple[int, int]:
    """Columns and rows of tiles of all chips."""
    return mesh.side * mesh.columns, -(-mesh.chips // mesh.side) * mesh.rows


def _across(mesh: Mesh) -> int:
    """Cores side by side in a tile."""
    return int(np.ceil(np.sqrt(mesh.cores_per_tile)))


def _corners(mesh: Mesh) -> Float64[np.ndarray, "cores 2"]:
    """Upper left corners of the cores' squares: those of a tile lie around its middle."""
    core = np.arange(mesh.n_cores)
    x, y, _ = mesh.position(core)
    row, column = np.divmod(core % mesh.cores_per_tile, _across(mesh))
    return np.stack([x, y], 1) - TILE + 0.015 + 2 * TILE / _across(mesh) * np.stack([column, row], 1)


def _boxes(corner: Float64[np.ndarray, "cores 2"], side: float, level: Float64[np.ndarray, " cores"]) -> Float64[np.ndarray, "cores 4 2"]:
    """Rectangles that fill squares from below up to a level from 0 to 1; the y axis points down."""
    (left, top), below = corner.T, corner[:, 1] + side
    top = top + side * (1 - level)
    return np.stack([np.stack(ends, 1) for ends in ((left, top), (left + side, top), (left + side, below), (left, below))], 1)


def plot_cores(found: ChipMap, traffic: Traffic, profile: HardwareProfile, path: str | os.PathLike[str]) -> None:
    """Write the picture of a map; its format follows the name (.png, .svg, .pdf)."""
    figure = core_grid(found, traffic, profile).get_figure(root=True)
    assert figure is not None, "an axis has a figure"
    picture = io.BytesIO()
    figure.savefig(picture, format=os.fspath(path).rpartition(".")[2], dpi=110, facecolor="white")
    atomic_write(path, picture.getvalue())
