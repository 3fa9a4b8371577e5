"""Exact counts of what a run did: spikes, messages, synaptic operations, neuron updates. Only recorded spikes are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from neuromorph.backends.fast.summary import Summary
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF, Input
from neuromorph.reached import count_active
from neuromorph.recording import Recording
from neuromorph.shapes import Int64
from neuromorph.spikes import Spikes

KINDS = ("spikes", "messages", "synops", "updates", "active_updates", "eligibility_updates", "plastic_updates")

PerSample: TypeAlias = Mapping[str, Int64[np.ndarray, " samples"]]


@dataclass(frozen=True, eq=False)
class Counts:
    """What each sample did, exactly; arrays are int64 [n_samples].

    `spikes`: by population (Input, LIF, ALIF). `messages`: those of them whose neuron has at least one synapse.
    `synops`: synaptic operations by projection, one for every nonzero weight of every emitted spike; a spike of the last
    steps counts at its source, also where the run ended before it arrived. `updates`: neuron updates by population,
    n * n_steps in every sample. `active_updates`: those at whose step at least one synaptic event arrives, delays
    respected; a neuron with a bias or a synaptic current is active at every step. `rates` [Hz]: mean firing rates.
    `eligibility_updates`, `plastic_updates`: of E and H by plastic projection, one for every synapse in use and step.
    """

    graph_digest: str
    dt: float
    n_samples: int
    n_steps: int
    spikes: PerSample
    messages: PerSample
    synops: PerSample
    updates: PerSample
    active_updates: PerSample
    rates: Mapping[str, float]
    eligibility_updates: PerSample = field(default_factory=dict[str, Any])
    plastic_updates: PerSample = field(default_factory=dict[str, Any])

    def totals(self) -> dict[str, dict[str, int]]:
        """Sums over samples, by quantity and population or projection."""
        return {kind: {name: int(values.sum()) for name, values in by_name.items()} for kind, by_name in self._arrays().items()}

    def per_inference(self) -> dict[str, dict[str, float]]:
        """Means over samples, by quantity and population or projection."""
        return {kind: {name: total / self.n_samples for name, total in by_name.items()} for kind, by_name in self.totals().items()}

    def to_dict(self) -> dict[str, Any]:
        shape = {"dt": self.dt, "n_samples": self.n_samples, "n_steps": self.n_steps}
        return {**shape, "totals": self.totals(), "per_inference": self.per_inference(), "rates_hz": dict(self.rates)}

    def _arrays(self) -> dict[str, PerSample]:
        return {kind: getattr(self, kind) for kind in KINDS}


def count(graph: Graph, inputs: Spikes | Mapping[str, Spikes], recording: Recording) -> Counts:
    """Count a recorded run of `graph` on `inputs` (one Spikes, or one per Input population by name).

    Raises:
        GraphError: the recording is of another graph, inputs and recording differ in populations, samples, steps or
            neurons, or there are no samples.
    """
    if recording.graph_digest != graph.digest():
        raise GraphError(
            f"Counts: the recording is of graph {recording.graph_digest[:12]}, the graph given is {graph.digest()[:12]}; "
            "give the graph that ran (after quantising: the integer graph)."
        )
    spikes = _all_spikes(graph, inputs, recording)
    n_samples, n_steps = recording.n_samples, recording.n_steps
    active = {p.name: count_active(graph, p, spikes, n_samples) for p in graph.neurons}
    return _counts(graph, {name: s.counts() for name, s in spikes.items()}, active, n_samples, n_steps)


def of_summary(graph: Graph, summary: Summary) -> Counts:
    """The same of a run of the fast backend that kept no spikes.

    Raises:
        GraphError: the summary is of another graph.
    """
    if summary.graph_digest != graph.digest():
        raise GraphError(
            f"Counts: the summary is of graph {summary.graph_digest[:12]}, the graph given is {graph.digest()[:12]}; give the one that ran."
        )
    return _counts(graph, summary.fired, summary.active, summary.n_samples, summary.n_steps)


def _counts(graph: Graph, fired: Mapping[str, np.ndarray], active: PerSample, n_samples: int, n_steps: int) -> Counts:
    """Counts from the spikes [samples, n] of every population that emits any."""
    return Counts(
        graph_digest=graph.digest(),
        dt=graph.dt,
        n_samples=n_samples,
        n_steps=n_steps,
        spikes={name: _weighted(f, np.ones(f.shape[1], dtype=np.int64)) for name, f in fired.items()},
        messages={name: _weighted(f, (graph.fan_out(name) > 0).astype(np.int64)) for name, f in fired.items()},
        synops={p.name: _weighted(fired[p.source], p.fan_out()) for p in graph.projections},
        updates={p.name: np.full(n_samples, p.n * n_steps, dtype=np.int64) for p in graph.neurons},
        active_updates=active,
        **_learning(graph, n_samples, n_steps),
        rates={name: int(f.sum()) / (f.size * n_steps) / graph.dt if f.size * n_steps else 0.0 for name, f in fired.items()},
    )


def _learning(graph: Graph, n_samples: int, n_steps: int) -> dict[str, dict[str, np.ndarray]]:
    every = {q.name: np.full(n_samples, int(np.count_nonzero(q.used)) * n_steps, np.int64) for q in graph.plastic}
    retroactive = {q.name for q in graph.plastic if q.plasticity is not None and q.plasticity.rule == "retroactive"}
    return {"plastic_updates": every, "eligibility_updates": {name: n for name, n in every.items() if name in retroactive}}


def _all_spikes(graph: Graph, inputs: Spikes | Mapping[str, Spikes], recording: Recording) -> dict[str, Spikes]:
    """Spikes of every population that emits any, checked against graph and recording."""
    if isinstance(inputs, Spikes):
        inputs = {p.name: inputs for p in graph.inputs}
    emitting = {p.name: p for p in graph.populations if isinstance(p, (Input, LIF))}
    spikes = {**inputs, **recording.spikes}
    if set(inputs) != {p.name for p in graph.inputs} or set(spikes) != set(emitting):
        raise GraphError(
            f"Counts: spikes given for {', '.join(sorted(spikes))}; the graph's populations that spike: {', '.join(sorted(emitting))}."
        )
    if recording.n_samples < 1:
        raise GraphError("Counts: the recording has no samples; run at least one.")
    for name, s in spikes.items():
        wanted = (recording.n_steps, recording.n_samples, emitting[name].n)
        if s.shape != wanted:
            raise GraphError(
                f"Counts: spikes of {name!r} have shape {s.shape}; wanted {wanted} (steps, samples, neurons), as graph and recording say."
            )
    return {name: spikes[name] for name in emitting}


def _weighted(fired: np.ndarray, weight: Int64[np.ndarray, " neurons"]) -> Int64[np.ndarray, " samples"]:
    """Sum over each sample's spikes [samples, neurons] of a whole number per neuron (exact below 2^53)."""
    return np.rint(fired.astype(np.float64) @ weight.astype(np.float64)).astype(np.int64)
