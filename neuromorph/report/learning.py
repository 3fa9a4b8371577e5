"""Traces of plastic synapses while they learn."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from neuromorph.errors import NeuromorphError
from neuromorph.graph import Graph, Projection
from neuromorph.recording import Recording
from neuromorph.report.style import COLOURS, label, legend, new_axis, plain, value_axis
from neuromorph.shapes import Float64

SHOWN = 5  # synapses, where none are chosen
NAMES = {"weight": "weight w + α H", "H": "plastic part H", "E": "eligibility E"}


def learning_traces(
    graph: Graph,
    recording: Recording,
    projection: str | None = None,
    sample: int = 0,
    ax: Axes | None = None,
    *,
    variable: Literal["weight", "H", "E"] = "weight",
    synapses: Sequence[int] | None = None,
) -> Axes:
    """The weight w + alpha H of some plastic synapses over time [ms], exponents of integers applied; or their H or E as recorded.

    One line a synapse, named sender → receiver. `projection`: by default the first that was recorded. `synapses`: numbers of
    synapses, by default of the five that change most.

    Raises:
        NeuromorphError: no such sample or synapse, or the projection was not recorded.
    """
    known = [q.name for q in graph.plastic if "H" in recording.states.get(q.name, {})]
    name = projection or next(iter(known), "")
    if name not in known or not 0 <= sample < recording.n_samples:
        raise NeuromorphError(
            f"Learning traces: {name!r}, sample {sample}; recorded: {', '.join(known) or 'no plastic projection'}, "
            f"{recording.n_samples} samples. Name projections in run(..., states=[...])."
        )
    q = graph.projection(name)
    values = _values(q, recording, variable, sample)
    chosen = _most_changed(values) if synapses is None else list(synapses)
    if not all(0 <= synapse < q.n_synapses for synapse in chosen):
        raise NeuromorphError(f"Learning traces: synapses {chosen} of {name!r}; it has synapses 0..{q.n_synapses - 1}.")
    ax = new_axis(ax)
    time = np.arange(recording.n_steps) * recording.dt * 1e3
    for index, synapse in enumerate(chosen):
        text = f"{q.rows[synapse]} → {q.indices[synapse]}"
        ax.step(time, values[:, synapse], where="post", color=COLOURS[index % len(COLOURS)], linewidth=1.3, label=text)
    value_axis(ax, recording.precision)
    ax.margins(x=0)
    legend(ax)
    return label(ax, "time (ms)", f"{NAMES[variable]}{' (integers)' if recording.precision == 'integer' else ''}\n{plain(name)}")


def _values(q: Projection, recording: Recording, variable: str, sample: int) -> Float64[np.ndarray, "steps synapses"]:
    found = recording.states[q.name]["H" if variable == "weight" else variable][:, sample].astype(np.float64)
    if variable != "weight" or q.plasticity is None:
        return found
    fixed = q.plasticity.fixed
    return q.weights * 2.0**q.weight_exp + q.plasticity.alpha * found * 2.0 ** (fixed.alpha_exp if fixed else 0)


def _most_changed(values: Float64[np.ndarray, "steps synapses"]) -> list[int]:
    """Numbers of the synapses whose values differ most over time, largest first."""
    reach = values.max(axis=0, initial=-np.inf) - values.min(axis=0, initial=np.inf)
    return np.argsort(-reach, kind="stable")[:SHOWN].tolist()
