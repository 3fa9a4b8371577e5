"""Do two simulators agree? Spike for spike in floats, bit for bit in integers, and if not: where first, and why."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from neuromorph.backends.base import Inputs, Progress, backend
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LIF
from neuromorph.recording import Recording

ROUNDING = 1e-9
"""A spike difference whose margin |v - theta| is below this part of theta is put down to summation order."""
TOLERANCE = 1e-9
"""Float traces agree when they differ by less than this part of the largest value of the trace."""


@dataclass(frozen=True)
class Difference:
    """The first place where two recordings part.

    `variable`: "spike", "v", "a" or "y" (readout); `a`, `b`: its values in the two recordings. `margin`: |v - theta| /
    theta in the first recording where that is known; `rounding`: whether the margin is small enough to explain it.
    """

    sample: int
    step: int
    population: str
    neuron: int
    variable: str
    a: float
    b: float
    margin: float | None = None
    rounding: bool = False

    def __str__(self) -> str:
        text = f"sample {self.sample}, step {self.step}, {self.population}[{self.neuron}]: {self.variable} {self.a:g} against {self.b:g}"
        if self.margin is None:
            return text
        return f"{text}, margin to threshold {self.margin:.2e}" + (" (rounding)" if self.rounding else "")


@dataclass(frozen=True)
class Comparison:
    """Agreement of two recordings of one graph on the same inputs.

    `identical`: all spikes equal, and every recorded trace equal (bit for bit in integers; within TOLERANCE in floats,
    where summation order differs). `largest_error`: over all traces, relative to each trace's largest value.
    `decisions_equal`: samples on which the argmax of the mean readout agrees (None without a readout).
    """

    backend: str
    against: str
    precision: str
    samples: int
    steps: int
    identical: bool
    spikes: int
    spikes_differing: int
    traces: int
    largest_error: float
    decisions_equal: int | None
    first: Difference | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        head = f"{self.backend} {self.precision} against {self.against}, {self.samples} samples: "
        if self.identical:
            return head + f"identical ({self.spikes} spikes, {self.traces} traces)"
        return head + f"DIFFERENT, {self.spikes_differing} of {self.spikes} spikes; first: {self.first}"


def validate(graph: Graph, inputs: Inputs, simulator: str, *, progress: Progress | None = None) -> Comparison:
    """Run `graph` on the reference and on a backend, all states recorded, and compare.

    Raises:
        BackendError: the backend is missing or cannot run the graph.
    """
    names = [p.name for p in graph.neurons]
    oracle = ReferenceBackend().run(graph, inputs, states=names)
    return compare(graph, backend(simulator).run(graph, inputs, states=names, progress=progress), oracle)


def compare(graph: Graph, recording: Recording, against: Recording) -> Comparison:
    """Compare two recordings of `graph` on the same inputs.

    Raises:
        GraphError: they are not recordings of the same size.
    """
    if (recording.n_samples, recording.n_steps) != (against.n_samples, against.n_steps):
        raise GraphError(
            f"Compare: {recording.backend} recorded {recording.n_samples} samples of {recording.n_steps} steps, "
            f"{against.backend} {against.n_samples} of {against.n_steps}; run both on the same inputs."
        )
    tolerance = TOLERANCE if recording.precision == "float" else 0.0
    pairs = list(_pairs(recording, against))
    differing = sum(int(np.count_nonzero(x != y)) for _, variable, x, y in pairs if variable == "spike")
    errors = [_error(x, y) for _, variable, x, y in pairs if variable != "spike"]
    places = [_first(population, variable, x, y, 0.0 if variable == "spike" else tolerance) for population, variable, x, y in pairs]
    found = [place for place in places if place is not None]
    first = min(found, key=lambda d: (d.step, d.sample, d.variable == "spike")) if found else None
    return Comparison(
        backend=recording.backend,
        against=against.backend,
        precision="float64" if recording.precision == "float" else "integer",
        samples=recording.n_samples,
        steps=recording.n_steps,
        identical=first is None,
        spikes=sum(len(s) for s in against.spikes.values()),
        spikes_differing=differing,
        traces=len(errors),
        largest_error=max(errors, default=0.0),
        decisions_equal=_decisions(recording, against),
        first=_explain(graph, against, first),
    )


def decisions(recording: Recording, window: int | None = None) -> np.ndarray:
    """Class of each sample: argmax of the readout's mean over the last `window` steps (all by default) [n_samples]."""
    readout = next(iter(recording.readouts.values()))
    return np.asarray(readout[-(window or len(readout)) :].sum(axis=0).argmax(axis=1))


def _pairs(x: Recording, y: Recording) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """(population, variable, trace in x, trace in y) of everything that both recorded."""
    for name in x.spikes:
        yield name, "spike", x.spikes[name].to_dense(), y.spikes[name].to_dense()
    for name in x.readouts:
        yield name, "y", x.readouts[name], y.readouts[name]
    for name, traces in x.states.items():
        if name in x.readouts:
            continue
        for variable in traces:
            if variable in y.states.get(name, {}):
                yield name, variable, traces[variable], y.states[name][variable]


def _error(x: np.ndarray, y: np.ndarray) -> float:
    scale = float(np.abs(y).max(initial=0))
    return float(np.abs(x - y).max(initial=0)) / (scale or 1.0)


def _first(population: str, variable: str, x: np.ndarray, y: np.ndarray, tolerance: float) -> Difference | None:
    if variable == "spike" or tolerance == 0:
        wrong = x != y
    else:
        wrong = np.abs(x - y) > tolerance * (float(np.abs(y).max(initial=0)) or 1.0)
    if not wrong.any():
        return None
    step, sample, neuron = (int(i) for i in np.argwhere(wrong)[0])
    return Difference(sample, step, population, neuron, variable, float(x[step, sample, neuron]), float(y[step, sample, neuron]))


def _explain(graph: Graph, against: Recording, first: Difference | None) -> Difference | None:
    """Add the margin to threshold of a differing spike, from the traces that were recorded."""
    if first is None or first.variable != "spike" or "v" not in against.states.get(first.population, {}):
        return first
    population = graph.population(first.population)
    if not isinstance(population, LIF):
        return first
    place = first.step, first.sample, first.neuron
    theta = float(population.v_th[first.neuron]) * (64 if against.precision == "integer" else 1)
    if isinstance(population, ALIF) and population.adaptation == "threshold":
        theta += float(against.states[first.population]["a"][place])
    margin = abs(float(against.states[first.population]["v"][place]) - theta) / (abs(theta) or 1.0)
    rounding = against.precision == "float" and margin < ROUNDING
    return replace(first, margin=margin, rounding=rounding)


def _decisions(x: Recording, y: Recording) -> int | None:
    if not x.readouts:
        return None
    return int(np.count_nonzero(decisions(x) == decisions(y)))
