"""A trained spiking network on its way to chips: integers, every simulator, cores, energy, and the same task as an LSTM."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromorph.agreement import validate
from neuromorph.backends.fast import FastBackend
from neuromorph.counts import Counts, count
from neuromorph.energy import estimate
from neuromorph.energy.comparators import equal_lstm
from neuromorph.energy.mapped import map_and_time
from neuromorph.graph import Graph
from neuromorph.grid import Grid
from neuromorph.hardware import load_profile
from neuromorph.mapping import check
from neuromorph.quantize import quantize
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

type Score = Callable[[Graph, Mapping[str, np.ndarray]], float]
"""From a graph and its readouts [steps, samples, n] by population, in units of floats, to the metric."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """`graph` in floats, what it is tested on, and how it is judged: by its readouts there, or, where it acts, by what it then earns."""

    name: str
    graph: Graph
    inputs: Mapping[str, Spikes]
    score: Score
    metric: str

    @property
    def n_samples(self) -> int:
        return next(iter(self.inputs.values())).n_samples

    def first(self, n: int) -> dict[str, Spikes]:
        return {name: spikes.select(np.arange(min(n, spikes.n_samples))) for name, spikes in self.inputs.items()}


def through_the_chain(d: Deployment, *, checked: int = 20, in_lava: int = 4, chip: str = "loihi2") -> dict[str, Any]:
    """The network in floats and in the integers of `chip`; the first samples on every simulator, fewer of them in Lava; the same integers
    mapped, and their energy on Loihi 1 (as a what-if) and Loihi 2, in real time.
    """
    profile = load_profile(chip)
    integer, report = quantize(d.graph, profile)
    recordings = {g.precision: FastBackend().run(g, d.inputs) for g in (d.graph, integer)}
    simulators = validate((d.graph, integer), d.first(checked), ("reference", "fast", "brian2"))
    lava = validate(integer, d.first(in_lava), ("reference", "lava"))
    counts, found = count(integer, d.inputs, recordings["integer"]), check(integer, profile)
    per_inference = counts.per_inference()
    return {
        "metric": d.metric,
        "samples": d.n_samples,
        "float": d.score(d.graph, recordings["float"].readouts),
        "integer": d.score(integer, in_floats(integer, recordings["integer"])),
        "simulators": {"samples": min(checked, d.n_samples), "agree": simulators.agrees},
        "lava": {"samples": min(in_lava, d.n_samples), "identical": lava.comparisons[0].identical},
        "neurons": d.graph.n_neurons,
        "synapses": d.graph.n_synapses,
        "lost_synapses": report.lost,
        "steps": counts.n_steps,
        "spikes": sum(per_inference["spikes"].values()),
        "synops": sum(per_inference["synops"].values()),
        "fits": found.fits,
        "cores": found.partition.n_cores if found.partition else None,
        "energy": {name: energy(integer, d, recordings["integer"], counts, name) for name in ("loihi1", "loihi2")},
        "equal_lstm": equal_lstm(d.graph, counts.n_steps).units,
    }


def in_floats(integer: Graph, recording: Recording) -> dict[str, np.ndarray]:
    """Readouts of integers in the units of the float graph."""
    scales = Grid.of(integer).scales
    return {name: y / scales[name] for name, y in recording.readouts.items()}


def energy(integer: Graph, d: Deployment, recording: Recording, counts: Counts, name: str) -> dict[str, Any]:
    """Of an inference [J], mapped by the mean spikes of all samples."""
    profile = load_profile(name)
    fired = {**d.inputs, **recording.spikes}
    mean = {population: spikes.counts().mean(0) for population, spikes in fired.items()}
    kept = {population: spikes.select(np.arange(min(8, spikes.n_samples))) for population, spikes in fired.items()}
    placed = map_and_time(integer, profile, mean, kept, step_seconds=integer.dt)
    told = estimate(counts, integer, profile, load=placed.load, what_if=True).to_dict()
    return {key: told[key] for key in ("scopes", "total", "seconds", "what_if")}
