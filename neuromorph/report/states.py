"""State traces of neurons, with their spikes and thresholds."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from neuromorph.differences import threshold
from neuromorph.errors import NeuromorphError
from neuromorph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.report.style import COLOURS, label, legend, new_axis, plain, value_axis

SHOWN = 5  # neurons, where none are chosen


def states(
    recording: Recording,
    population: str | None = None,
    sample: int = 0,
    ax: Axes | None = None,
    *,
    variable: str = "v",
    neurons: Sequence[int] | None = None,
    graph: Graph | None = None,
) -> Axes:
    """A state variable of some neurons over time [ms], one line a neuron, a dot at each spike; with `graph`, thresholds of "v" dotted.

    `population`: by default the first of which the variable was recorded. `neurons`: by default the first five.

    Raises:
        NeuromorphError: no such sample or neuron, or the variable was not recorded.
    """
    known = [name for name, traces in recording.states.items() if variable in traces]
    name = population or next(iter(known), "")
    if name not in known or not 0 <= sample < recording.n_samples:
        raise NeuromorphError(
            f"States: {variable!r} of {name!r}, sample {sample}; recorded: {variable!r} of {', '.join(known) or 'nothing'}, "
            f"{recording.n_samples} samples. Name populations in run(..., states=[...])."
        )
    trace = recording.states[name][variable][:, sample]
    chosen = list(range(min(SHOWN, trace.shape[1]))) if neurons is None else list(neurons)
    if not all(0 <= neuron < trace.shape[1] for neuron in chosen):
        raise NeuromorphError(f"States: neurons {chosen} of {name!r}; it has neurons 0..{trace.shape[1] - 1}.")
    ax = new_axis(ax)
    one, time = recording.select([sample]), np.arange(recording.n_steps) * recording.dt * 1e3
    for index, neuron in enumerate(chosen):
        colour = COLOURS[index % len(COLOURS)]
        ax.plot(time, trace[:, neuron], color=colour, linewidth=1.3, label=f"neuron {neuron}")
        steps = _fired(one, name, neuron)
        ax.plot(time[steps], trace[steps, neuron], "o", color=colour, markersize=3.5)
        theta = threshold(graph, one, name, neuron) if graph is not None and variable == "v" else None
        if theta is not None:
            ax.plot(time, theta, ":", color=colour, linewidth=1.0)
    value_axis(ax, recording.precision)
    ax.margins(x=0)
    legend(ax)
    which = f"[{chosen[0]}]" if len(chosen) == 1 else ""
    return label(ax, "time (ms)", f"{variable} of {plain(name)}{which}" + (" (integers)" if recording.precision == "integer" else ""))


def _fired(one: Recording, name: str, neuron: int) -> np.ndarray:
    """Steps at which a neuron fired in a recording of one sample."""
    spikes = one.spikes.get(name)
    return np.zeros(0, dtype=np.int64) if spikes is None else spikes.step[spikes.neuron == neuron]
