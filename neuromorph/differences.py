"""Where two recordings of one graph part, and whether rounding explains it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LIF
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

ROUNDING = 1e-9
"""A spike difference whose margin |v - theta| is below this part of theta is put down to summation order."""
TOLERANCE = 1e-9
"""Float traces agree when they differ by less than this part of the largest value of the trace."""
CAUSES = ("a", "v", "y", "spike", "E", "H")
"""Variables in the order in which one step computes them: the first that differs is the cause of the others."""


@dataclass(frozen=True)
class Difference:
    """The first place where two recordings of one sample part.

    `variable`: "a", "v", "y" (readout) or "spike"; of a plastic projection (`population`: its name, `neuron`: its synapse) "E" or "H".
    `a`, `b`: its values in the two recordings. `margin`: |v - theta| / theta where a spike differs and v was recorded; `rounding`: whether
    the margin is small enough to explain it.
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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def first_differences(graph: Graph, x: Recording, y: Recording) -> list[Difference]:
    """The first difference of every sample that has one, by sample; spikes alone where the precisions differ."""
    first: dict[int, Difference] = {}
    for found in _differences(graph, x, y):
        known = first.get(found.sample)
        if known is None or _order(found) < _order(known):
            first[found.sample] = found
    return [_explained(graph, x, y, first[sample]) for sample in sorted(first)]


def shared_traces(x: Recording, y: Recording) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """(population, variable, trace in x, trace in y) of every trace that both hold, none where their precisions differ."""
    if x.precision != y.precision:
        return
    for name in x.readouts:
        yield name, "y", x.readouts[name], y.readouts[name]
    for name, traces in x.states.items():
        for variable in sorted(set(traces) & set(y.states.get(name, {}))):
            if name not in x.readouts:
                yield name, variable, traces[variable], y.states[name][variable]


def _differences(graph: Graph, x: Recording, y: Recording) -> Iterator[Difference]:
    """Of every sample and variable that differs, the first place."""
    for population in (p.name for p in graph.neurons):
        if population in x.spikes and population in y.spikes:
            yield from _spikes(population, x.spikes[population], y.spikes[population])
    tolerance = TOLERANCE if x.precision == "float" else 0.0
    for population, variable, a, b in shared_traces(x, y):
        wrong: np.ndarray = a != b
        if tolerance and wrong.any():
            wrong = np.abs(a - b) > tolerance * (float(np.abs(b).max(initial=0)) or 1.0)
        for sample in np.flatnonzero(wrong.any(axis=(0, 2))).tolist():
            step, neuron = (int(i) for i in np.argwhere(wrong[:, sample])[0])
            place = step, sample, neuron
            yield Difference(sample, step, population, neuron, variable, float(a[place]), float(b[place]))


def _spikes(population: str, x: Spikes, y: Spikes) -> Iterator[Difference]:
    keys = np.setxor1d(x.keys(), y.keys(), assume_unique=True)
    sample, step, neuron = np.unravel_index(keys, (x.n_samples, x.n_steps, x.n_neurons))
    _, first = np.unique(sample, return_index=True)
    in_x = np.isin(keys[first], x.keys())
    for i, only_x in zip(first.tolist(), in_x.tolist()):
        yield Difference(int(sample[i]), int(step[i]), population, int(neuron[i]), "spike", float(only_x), float(not only_x))


def _order(d: Difference) -> tuple[int, int]:
    return d.step, CAUSES.index(d.variable)


def threshold(graph: Graph, recording: Recording, population: str, neuron: int) -> np.ndarray | None:
    """The threshold of a neuron in the first sample, in the unit of v [n_steps]; None where it has none, or it was not recorded."""
    p = graph.population(population)
    if not isinstance(p, LIF):
        return None
    fixed = float(p.v_th[neuron]) * (64 if recording.precision == "integer" else 1)
    adapts = isinstance(p, ALIF) and p.adaptation == "threshold"
    a = recording.states.get(population, {}).get("a")
    if adapts and a is None:
        return None
    return fixed + (a[:, 0, neuron].astype(np.float64) if adapts and a is not None else np.zeros(recording.n_steps))


def _explained(graph: Graph, x: Recording, y: Recording, first: Difference) -> Difference:
    """Add the margin to threshold of a differing spike, from the traces of the second recording or else of the first."""
    known = next((r for r in (y, x) if "v" in r.states.get(first.population, {})), None)
    if first.variable != "spike" or known is None:
        return first
    one = known.select([first.sample])
    theta = threshold(graph, one, first.population, first.neuron)
    if theta is None:
        return first
    at = float(theta[first.step])
    margin = abs(float(one.states[first.population]["v"][first.step, 0, first.neuron]) - at) / (abs(at) or 1.0)
    return replace(first, margin=margin, rounding=x.precision == y.precision == "float" and margin < ROUNDING)
