"""Plots, one axis each: pass `ax` to compose them, leave it out for a figure of its own. No pyplot, no global state."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

from neuromorph.differences import Difference, threshold
from neuromorph.energy import EnergyReport
from neuromorph.errors import NeuromorphError
from neuromorph.graph import LI, Graph, Projection
from neuromorph.recording import Recording
from neuromorph.report.style import BLUE, COLOURS, INK, LONGEST, MUTED, SMALL, VERMILLION, label, legend, new_axis, plain, value_axis
from neuromorph.spikes import Spikes

MAX_CELLS = 1000  # of a connectivity matrix, per side; larger graphs are binned

Populations: TypeAlias = Spikes | Mapping[str, Spikes]


def raster(spikes: Populations, sample: int = 0, ax: Axes | None = None, *, colours: Sequence[str] = COLOURS) -> Axes:
    """One stroke a spike: time [ms] to the right, neurons upwards, populations stacked in the order given.

    Each population is one patch whose path holds two vertices a spike.

    Raises:
        NeuromorphError: no such sample.
    """
    ax = new_axis(ax, height=260.0)
    bottom, middles, names = 0, [], []
    for index, (name, population) in enumerate(_by_name(spikes).items()):
        if not 0 <= sample < population.n_samples:
            raise NeuromorphError(f"Raster: sample {sample} of {name!r}; it has samples 0..{population.n_samples - 1}.")
        here = population.sample == sample
        times, rows = population.step[here] * population.dt * 1e3, population.neuron[here] + bottom
        ax.add_patch(PathPatch(_strokes(times, rows), fill=False, color=colours[index % len(colours)], linewidth=1.1, label=name))
        if bottom:
            ax.axhline(bottom - 0.5, color=MUTED, linewidth=0.5)
        middles.append(bottom + (population.n_neurons - 1) / 2)
        names.append(f"{plain(name)} ({population.n_neurons})" if name else str(population.n_neurons))
        bottom += population.n_neurons
        ax.set_xlim(-0.5 * population.dt * 1e3, (population.n_steps - 0.5) * population.dt * 1e3)
    ax.set_ylim(-0.5, max(bottom, 1) - 0.5)
    ax.set_yticks(middles, names)
    ax.tick_params(axis="y", length=0)
    return label(ax, "time (ms)", "" if len(names) > 1 else "neuron")


def parting(recording: Recording, against: Recording, first: Difference, ax: Axes | None = None, *, steps: int = 25) -> Axes:
    """Spikes of one sample in two recordings, `steps` before and after their first difference: grey of both, blue only of the first, red
    only of the second; populations stacked as in `raster`, the difference circled. `first.sample` is not used: recordings hold one sample.
    """
    ax = new_axis(ax, height=260.0)
    ms, bottom, middles, names = recording.dt * 1e3, 0, [], []
    place = 0
    for name in against.spikes:
        x, y = recording.spikes[name], against.spikes[name]
        common = np.isin(x.keys(), y.keys())
        kinds = ((x, common, MUTED, 1.4), (x, ~common, BLUE, 3.0), (y, ~np.isin(y.keys(), x.keys()), VERMILLION, 3.0))
        for spikes, chosen, colour, width in kinds:
            here = chosen & (spikes.sample == 0) & (np.abs(spikes.step - first.step) <= steps)
            strokes = _strokes(spikes.step[here] * ms, spikes.neuron[here] + bottom)
            ax.add_patch(PathPatch(strokes, fill=False, color=colour, linewidth=width))
        place = bottom + first.neuron if name == first.population else place
        if bottom:
            ax.axhline(bottom - 0.5, color=MUTED, linewidth=0.5)
        middles.append(bottom + (y.n_neurons - 1) / 2)
        names.append(f"{plain(name)} ({y.n_neurons})")
        bottom += y.n_neurons
    if first.population in against.spikes:
        ax.plot([first.step * ms], [place], "o", markersize=11, markerfacecolor="none", markeredgecolor=INK)
    ax.axvline(first.step * ms, color=INK, linewidth=0.6, linestyle=":")
    ax.set_xlim((first.step - steps - 0.5) * ms, (first.step + steps + 0.5) * ms)
    ax.set_ylim(-0.5, max(bottom, 1) - 0.5)
    ax.set_yticks(middles, names)
    ax.tick_params(axis="y", length=0)
    return label(ax, "time (ms)", "")


def traces_apart(
    graph: Graph, recording: Recording, against: Recording, first: Difference, ax: Axes | None = None, *, steps: int = 25
) -> Axes | None:
    """The variable of the neuron at which two one-sample recordings first differ, in both (v where a spike differs), with the threshold.

    None where neither recorded it.
    """
    variable = "v" if first.variable == "spike" else first.variable
    found = [(r.backend, _trace_of(r, first.population, variable), r) for r in (recording, against)]
    if not any(trace is not None for _, trace, _ in found):
        return None
    ax = new_axis(ax, height=260.0)
    window = slice(max(first.step - steps, 0), first.step + steps + 1)
    time = np.arange(recording.n_steps)[window] * recording.dt * 1e3
    for (name, trace, r), colour, style in zip(found, (BLUE, VERMILLION), ("-", "--")):
        if trace is None:
            continue
        ax.plot(time, trace[window, 0, first.neuron], style, color=colour, linewidth=1.5, label=plain(name))
        theta = threshold(graph, r, first.population, first.neuron) if variable == "v" else None
        if theta is not None:
            ax.plot(time, theta[window], ":", color=colour, linewidth=1.0)
    ax.axvline(first.step * recording.dt * 1e3, color=INK, linewidth=0.6, linestyle=":")
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(EngFormatter(sep="\u202f"))
    ax.margins(x=0)
    legend(ax)
    return label(ax, "time (ms)", f"{variable} of {plain(first.population)}[{first.neuron}]")


def _trace_of(recording: Recording, population: str, variable: str) -> np.ndarray | None:
    return recording.readouts.get(population) if variable == "y" else recording.states.get(population, {}).get(variable)


def rates(spikes: Populations, ax: Axes | None = None, *, bins: int = 24) -> Axes:
    """Histogram of neurons by firing rate [Hz], averaged over all samples, one outline a population."""
    ax = new_axis(ax)
    by_name = {n: s.counts().mean(axis=0) / (s.n_steps * s.dt) for n, s in _by_name(spikes).items() if s.n_steps and s.n_samples}
    edges = np.linspace(0, max((float(r.max(initial=0)) for r in by_name.values()), default=0.0) or 1.0, bins + 1)
    for index, (name, rate) in enumerate(by_name.items()):
        ax.stairs(np.histogram(rate, edges)[0], edges, color=COLOURS[index % len(COLOURS)], linewidth=1.5, label=plain(name) or None)
    ax.set_xlim(0, 1.02 * edges[-1])
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend(ax)
    return label(ax, "firing rate (Hz)", "neurons")


def connectivity(graph: Graph, ax: Axes | None = None) -> Axes:
    """Matrix of signed weights: from rows to columns, blue excitatory, red inhibitory, stronger where |weight| is larger.

    Readouts send nothing and have no rows; inputs receive nothing and have no columns. A cell of a binned large graph
    shows the largest of its weights.
    """
    ax = new_axis(ax, height=360.0)
    rows = {p.name: p.n for p in graph.populations if not isinstance(p, LI)}
    columns = {p.name: p.n for p in graph.neurons}
    top, left = _offsets(rows), _offsets(columns)
    size = sum(rows.values()), sum(columns.values())
    cells = min(size[0], MAX_CELLS), min(size[1], MAX_CELLS)
    matrix = np.zeros(cells)
    for q in graph.projections:
        place = (q.rows + top[q.source]) * cells[0] // size[0], (q.indices + left[q.target]) * cells[1] // size[1]
        strong = np.argsort(np.abs(q.weights), kind="stable")
        matrix[place[0][strong], place[1][strong]] = _strength(q)[strong]
    ax.imshow(_signed_colours(matrix), extent=(-0.5, size[1] - 0.5, size[0] - 0.5, -0.5), aspect="auto", interpolation="none")
    for offsets, line, axis in ((top, ax.axhline, ax.yaxis), (left, ax.axvline, ax.xaxis)):
        starts = list(offsets.values())
        for start in starts[1:]:
            line(start - 0.5, color=MUTED, linewidth=0.5)
        sizes = rows if axis is ax.yaxis else columns
        axis.set_ticks([start + (sizes[name] - 1) / 2 for name, start in offsets.items()], [f"{n} ({sizes[n]})" for n in offsets])
    ax.tick_params(length=0)
    for text in ax.get_xticklabels():
        text.set(rotation=30, ha="right", rotation_mode="anchor")
    return label(ax, "to", "from")


def weights(graph: Graph, ax: Axes | None = None, *, bins: int = 41) -> Axes:
    """Histogram of all nonzero weights, exponents applied, excitatory and inhibitory apart."""
    ax = new_axis(ax)
    values = np.concatenate([np.zeros(0), *(_strength(q) for q in graph.projections)])
    reach = float(np.abs(values).max(initial=0)) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)
    for name, colour, part in (("excitatory", BLUE, values[values > 0]), ("inhibitory", VERMILLION, values[values < 0])):
        ax.stairs(np.histogram(part, edges)[0], edges, fill=True, color=colour, alpha=0.85, label=name)
    ax.set_ylim(0, max(ax.get_ylim()[1], 1.0))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend(ax)
    return label(ax, "weight", "synapses")


def readouts(
    recording: Recording, sample: int = 0, ax: Axes | None = None, *, target: int | None = None, window: int | None = None
) -> Axes:
    """Readout traces y over time [ms], one line a class; the class decided for, and `target` if another, stand out.

    The decision is the argmax of the mean over the last `window` steps (all by default), which are shaded.

    Raises:
        NeuromorphError: no such sample, or no readout was recorded.
    """
    if not recording.readouts or not 0 <= sample < recording.n_samples:
        raise NeuromorphError(
            f"Readouts: sample {sample} of a recording with {recording.n_samples} samples and readouts {sorted(recording.readouts)}."
        )
    ax = new_axis(ax)
    y = next(iter(recording.readouts.values()))[:, sample]
    time = np.arange(len(y)) * recording.dt * 1e3
    last = min(window or len(y), len(y))
    decided = int(y[len(y) - last :].sum(axis=0).argmax())
    strong = {decided: BLUE, **({target: VERMILLION} if target is not None and target != decided else {})}
    for index in range(y.shape[1]):
        ax.plot(
            time, y[:, index], color=strong.get(index, MUTED), linewidth=1.8 if index in strong else 0.8, zorder=3 if index in strong else 2
        )
    if last < len(y):
        ax.axvspan(time[-last], time[-1], color=MUTED, alpha=0.15, linewidth=0)
    for index, colour in strong.items():
        text = f"{index} (decision)" if index == decided else f"{index} (label)"
        ax.annotate(text, (time[-1], y[-1, index]), (3, 0), textcoords="offset points", va="center", color=colour, fontsize=SMALL)
    value_axis(ax, recording.precision)
    ax.margins(x=0)
    return label(ax, "time (ms)", "readout y")


def learning_curve(history: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Accuracies [%] by epoch: every entry of the history whose name holds "accuracy"."""
    ax = new_axis(ax)
    names = [name for name in (history[0] if history else {}) if "accuracy" in name]
    epochs = [row.get("epoch", index + 1) for index, row in enumerate(history)]
    for index, name in enumerate(names):
        values = [np.nan if row.get(name) is None else 100 * float(row[name]) for row in history]
        text = name.replace("_", " ").replace("accuracy", "").strip() or "accuracy"
        ax.plot(epochs, values, color=COLOURS[index % len(COLOURS)], linewidth=1.5, marker="o", markersize=3, label=plain(text))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(ax)
    return label(ax, "epoch", "accuracy (%)")


def energy_bars(estimates: Sequence[EnergyReport | Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Energy per inference [J], log scale: a bar from lo to hi and a mark at nominal, for each profile and scope.

    `estimates`: of `neuromorph.estimate`, or their dicts; scopes that are None, as the profile has no numbers, have no bar. Profiles marked
    "what if" carry an asterisk.
    """
    estimates = [_told(each) for each in estimates]
    scopes = list(dict.fromkeys(name for e in estimates for name, sums in e["scopes"].items() if sums))
    ax = new_axis(ax, 520.0, 90.0 + 26 * len(estimates) * max(1, len(scopes)) * 0.6)
    place = np.arange(len(estimates))[::-1]
    for index, scope in enumerate(scopes):
        rows = [(y, e["scopes"][scope]) for y, e in zip(place, estimates) if e["scopes"].get(scope)]
        height = 0.8 / len(scopes)
        middle = np.array([y for y, _ in rows]) + 0.4 - (index + 0.5) * height
        _intervals(ax, middle, [sums for _, sums in rows], height * 0.8, COLOURS[index % len(COLOURS)], scope)
    return _energy_axis(ax, place, [plain(e["profile"]) + (" *" if e.get("what_if") else "") for e in estimates])


def energy_terms(estimate: EnergyReport | Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Energy per inference [J] of one chip by term, log scale: a bar from lo to hi and a mark at nominal, coloured by scope.

    `estimate`: of `neuromorph.estimate`, or its dict; terms that cost nothing are left out.
    """
    terms = [term for term in _told(estimate)["terms"] if term["hi"] > 0]
    ax = new_axis(ax, 520.0, 80.0 + 34 * len(terms))
    place = np.arange(len(terms))[::-1]
    for index, scope in enumerate(dict.fromkeys(term["scope"] for term in terms)):
        own = [(y, term) for y, term in zip(place, terms) if term["scope"] == scope]
        _intervals(ax, np.array([y for y, _ in own]), [term for _, term in own], 0.6, COLOURS[index % len(COLOURS)], scope)
    return _energy_axis(ax, place, ["\n".join(map(plain, wrap(term["name"], LONGEST, max_lines=2, placeholder="…"))) for term in terms])


def _told(estimate: EnergyReport | Mapping[str, Any]) -> Mapping[str, Any]:
    return estimate.to_dict() if isinstance(estimate, EnergyReport) else estimate


def _intervals(ax: Axes, place: np.ndarray, found: Sequence[Mapping[str, Any]], height: float, colour: str, scope: str) -> None:
    """Bars of one scope; where lo is hi, an edge shows the colour."""
    lo, nominal, hi = (np.array([each[key] for each in found], dtype=np.float64) for key in ("lo", "nominal", "hi"))
    name = plain(scope.replace("_", " ").replace("cpu", "CPU"))
    ax.barh(place, hi - lo, height, left=lo, color=colour, alpha=0.55, edgecolor=colour, linewidth=np.where(hi > lo, 0, 5), label=name)
    ax.plot(nominal, place, "|", color=INK, markersize=9, markeredgewidth=2)


def _energy_axis(ax: Axes, place: np.ndarray, names: Sequence[str]) -> Axes:
    """Joules to the right, names upwards."""
    ax.use_sticky_edges = False
    ax.set_ylim(-0.5, max(len(names), 1) - 0.5)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(EngFormatter("J", sep="\u202f"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(place, names)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=MUTED, alpha=0.3, linewidth=0.5)
    legend(ax)
    return label(ax, "energy per inference", "")


def _by_name(spikes: Populations) -> Mapping[str, Spikes]:
    return {"": spikes} if isinstance(spikes, Spikes) else spikes


def _strokes(times: np.ndarray, rows: np.ndarray) -> Path:
    """A path of vertical strokes, one neuron high."""
    vertices = np.empty((2 * len(times), 2))
    vertices[:, 0] = np.repeat(times, 2)
    vertices[0::2, 1], vertices[1::2, 1] = rows - 0.45, rows + 0.45
    path = Path(vertices, np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=np.uint8), len(times)))
    path.should_simplify = False
    return path


def _offsets(sizes: Mapping[str, int]) -> dict[str, int]:
    starts = np.cumsum([0, *sizes.values()])[:-1].tolist()
    return dict(zip(sizes, starts))


def _strength(q: Projection) -> np.ndarray:
    return q.weights * 2.0**q.weight_exp


def _signed_colours(matrix: np.ndarray) -> np.ndarray:
    """RGBA: colour by sign, opacity by the square root of |weight|, transparent where there is no synapse."""
    rgb = {sign: tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)) for sign, colour in ((1, BLUE), (-1, VERMILLION))}
    image = np.zeros((*matrix.shape, 4))
    share = np.sqrt(np.abs(matrix) / (np.abs(matrix).max(initial=0) or 1.0))
    for sign, colour in rgb.items():
        image[np.sign(matrix) == sign] = (*colour, 1.0)
    image[..., 3] *= 0.35 + 0.65 * share
    return image
