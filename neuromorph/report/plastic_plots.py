"""Plots of a network that learns while it runs: accuracy by trial, training, weights before and after, one episode step by step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuromorph.errors import GraphError
from neuromorph.graph import LIF, FixedPoint, Graph, Plasticity, Projection
from neuromorph.recording import Recording
from neuromorph.report.plots import raster
from neuromorph.report.style import BLUE, COLOURS, GREEN, INK, MUTED, ORANGE, SMALL, VERMILLION, label, legend, new_axis, plain
from neuromorph.shapes import Float64
from neuromorph.spikes import Spikes

LONG = 40  # characters of a name in a legend
SHOWN = 5  # synapses, by how much they change
LINES = (("-", None, BLUE), ("-", None, MUTED), ("none", "o", VERMILLION), ("none", "x", INK))
"""Line, mark and colour of the curves in their order: networks as lines, integers, which should lie on them, as marks."""


def by_trial(curves: Mapping[str, Sequence[float]], ceiling: Sequence[float], ax: Axes | None = None) -> Axes:
    """Share of right answers (%) by trial of the episode, by name of who answers, and the best possible (dashed)."""
    ax = new_axis(ax, 560.0, 330.0)
    ax.plot(range(1, len(ceiling) + 1), 100 * np.array(ceiling), "--", color=INK, linewidth=1.2, label="best possible")
    for index, (name, curve) in enumerate(curves.items()):
        line, mark, colour = LINES[index % len(LINES)]
        trials, style = range(1, len(curve) + 1), {"linestyle": line, "marker": mark, "markersize": 6, "linewidth": 1.8}
        ax.plot(trials, 100 * np.array(curve), **style, color=colour, label=name[:LONG].replace("$", r"\$"))
    ax.set_ylim(40, 102)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", color=MUTED, alpha=0.3, linewidth=0.5)
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2, "borderaxespad": 0.2}
    ax.legend(**place, frameon=False, fontsize=SMALL, labelcolor=INK, handlelength=1.6, columnspacing=1.0)
    return label(ax, "trial of the episode", "right answers (%)")


def training_curve(history: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Share of right answers (%), which were sampled, of the first trial, the middle one and the last by updates so far."""
    ax = new_axis(ax, 420.0, 330.0)
    trials = len(history[0]["accuracy"])
    chosen = dict.fromkeys((0, trials // 2, trials - 1))
    for colour, trial in zip((MUTED, GREEN, BLUE), chosen):
        values = [100 * float(row["accuracy"][trial]) for row in history]
        ax.plot(
            [row["update"] for row in history], values, color=colour, linewidth=1.5, marker="o", markersize=3, label=f"trial {trial + 1}"
        )
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.grid(axis="y", color=MUTED, alpha=0.3, linewidth=0.5)
    legend(ax)
    return label(ax, "updates", "right answers (%)")


def fixed_weights(graph: Graph, q: Projection) -> Float64[np.ndarray, " synapses"]:
    """w of every synapse of an integer graph, in thresholds of its target: what one spike adds to v."""
    return q.weights * 2.0**q.weight_exp / _thresholds(graph, q)


def learned_weights(
    graph: Graph, q: Projection, changed: Float64[np.ndarray, "*steps synapses"] | np.ndarray
) -> Float64[np.ndarray, "*steps synapses"]:
    """alpha * H in the same unit, of H as an integer graph has it."""
    rule, fixed = _rule(q)
    return rule.alpha * changed * 2.0**fixed.alpha_exp / _thresholds(graph, q)


def _rule(q: Projection) -> tuple[Plasticity, FixedPoint]:
    if q.plasticity is None or q.plasticity.fixed is None:
        raise GraphError(f"Projection {q.name!r} is not plastic, or not in integers.")
    return q.plasticity, q.plasticity.fixed


def _thresholds(graph: Graph, q: Projection) -> np.ndarray:
    target = graph.population(q.target)
    if not isinstance(target, LIF):
        raise GraphError(f"Projection {q.name!r} leads to {q.target!r}, which has no threshold.")
    return target.v_th[q.indices].astype(np.float64)


def matrix(values: Float64[np.ndarray, " synapses"], q: Projection, n_target: int, largest: float, ax: Axes | None = None) -> Axes:
    """One number a synapse as a matrix, senders down, receivers to the right: blue above 0, red below, the stronger the larger, full colour
    at `largest`.
    """
    ax = new_axis(ax, 320.0, 320.0)
    dense = np.zeros((q.n_source, n_target))
    np.add.at(dense, (q.rows, q.indices), values)
    image = np.zeros((*dense.shape, 4))
    for sign, colour in ((1, BLUE), (-1, VERMILLION)):
        image[np.sign(dense) == sign] = (*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0)
    image[..., 3] *= np.minimum(np.abs(dense) / (largest or 1.0), 1.0)
    ax.imshow(image, interpolation="none", aspect="equal")
    ax.spines[["top", "right"]].set_visible(True)
    ax.spines[["top", "right"]].set_color(INK)
    return label(ax, "receiving neuron", "sending neuron")


def episode(
    graph: Graph,
    inputs: Mapping[str, Spikes],
    third: np.ndarray,
    recording: Recording,
    trials: Sequence[Mapping[str, Any]],
    target: str,
) -> Axes:
    """One episode, panels one below the other over time: spikes; readout; third factor [n_steps]; eligibility and learned weight of the
    synapses that change most, one of each receiver. Cues, go and reward of every trial are marked.
    """
    (q,) = graph.plastic
    figure = Figure(figsize=(1000 / 72, 800 / 72), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots(5, 1, sharex=True, height_ratios=(3.6, 1, 0.8, 1.4, 1.4)).tolist()
    raster({**inputs, **recording.spikes}, ax=axes[0], colours=(MUTED, BLUE))
    axes[0].set_xlabel("")
    for ax in axes[1:]:
        new_axis(ax)
    ms = np.arange(recording.n_steps) * recording.dt * 1e3
    ((name, readout),) = recording.readouts.items()
    axes[1].plot(ms, readout[:, 0, 0] / float(graph.metadata.get(f"scale.{name}", 1)), color=BLUE, linewidth=1.3)
    axes[1].axhline(0, color=INK, linewidth=0.6)
    given = np.flatnonzero(third)
    axes[2].vlines(ms[given], 0, third[given], color=np.where(third[given] > 0, GREEN, VERMILLION).tolist(), linewidth=2.5)
    axes[2].axhline(0, color=INK, linewidth=0.6)
    _synapses(graph, q, recording, ms, axes[3], axes[4])
    for ax, text in zip(axes[1:], ("readout\n(> 0: yes)", "third\nfactor", "eligibility E", "α · H\n(thresholds)")):
        label(ax, "", text)
        ax.yaxis.set_major_locator(MaxNLocator(3))
    _mark(axes, trials, target, recording.dt * 1e3)
    axes[-1].set_xlabel("time (ms)", color=INK, fontsize=SMALL)
    return axes[0]


def _synapses(graph: Graph, q: Projection, recording: Recording, ms: np.ndarray, of_e: Axes, of_h: Axes) -> None:
    """E in units of the float rule, alpha * H in thresholds, of the synapses that changed most."""
    states, (_, fixed) = recording.states[q.name], _rule(q)
    learned = learned_weights(graph, q, states["H"][:, 0].astype(np.float64))
    for colour, synapse in zip(COLOURS, most_changed(learned[-1], q)):
        name = f"{q.rows[synapse]} → {q.indices[synapse]}"
        of_e.plot(ms, states["E"][:, 0, synapse] / (fixed.pre_step * fixed.post_step), color=colour, linewidth=1.3, label=name)
        of_h.step(ms, learned[:, synapse], color=colour, linewidth=1.3, where="post")
    handles = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": SHOWN, "borderaxespad": 0.1}
    of_e.legend(**handles, frameon=False, fontsize=SMALL, labelcolor=INK, handlelength=1.2, columnspacing=1.0)


def most_changed(learned: Float64[np.ndarray, " synapses"], q: Projection) -> list[int]:
    """Numbers of the synapses with the largest |learned weight|, largest first, one of each receiver."""
    found: dict[int, int] = {}
    for synapse in np.argsort(-np.abs(learned), kind="stable").tolist():
        found.setdefault(int(q.indices[synapse]), synapse)
        if len(found) == SHOWN:
            break
    return list(found.values())


def _mark(axes: Sequence[Axes], trials: Sequence[Mapping[str, Any]], target: str, ms: float) -> None:
    """Bands behind all panels: green a cue that is the target, grey another, orange go, blue or red the reward; their names on top."""
    for trial in trials:
        length = trial["reward_step"] - trial["go_step"]
        marks = [(first, plain(cue), GREEN if cue == target else MUTED) for first, cue in zip(trial["cue_steps"], trial["cues"])]
        marks += [(trial["go_step"], "yes" if trial["answer"] else "no", ORANGE)]
        marks += [(trial["reward_step"], "+1" if trial["right"] else "−1", BLUE if trial["right"] else VERMILLION)]
        for first, text, colour in marks:
            for ax in axes:
                ax.axvspan((first - 0.5) * ms, (first + length - 0.5) * ms, color=colour, alpha=0.16, linewidth=0)
            place = (first + (length - 1) / 2) * ms, 1.01
            axes[0].text(*place, text, transform=axes[0].get_xaxis_transform(), ha="center", va="bottom", color=INK, fontsize=SMALL)
