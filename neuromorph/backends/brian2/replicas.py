"""A graph as one Brian2 network that holds it once for every sample of a batch.

The default schedule (groups, thresholds, synapses) gives a synapse without delay exactly one step, so a delay of d steps
is a Brian2 delay of (d - 1) dt, and nothing is in flight outside the queues: a run may stop and go on at any step.
"""

from typing import Any

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.brian2 import code
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, Input, Neurons, parameters
from neuromorph.graph.projections import Projection
from neuromorph.spikes import Spikes


class Replicas:
    """`n_samples` copies of a graph, with monitors of what is kept.

    Objects are named by the place of their population or projection in the graph, so that equal networks give equal code.
    `inputs`, `neurons`: by population name. `firing`: spike monitors. `traced`: state monitors.
    """

    def __init__(self, b2: Any, graph: Graph, kept: Kept, n_samples: int) -> None:
        self.b2, self.graph, self.n_samples = b2, graph, n_samples
        self.dtype = np.dtype(np.int64 if graph.precision == "integer" else np.float64)
        self.clock = b2.Clock(dt=graph.dt * b2.second, name="steps")
        self.place = {p.name: k for k, p in enumerate(graph.populations)}
        self.inputs = {p.name: self._generator(p) for p in graph.inputs}
        self.neurons = {p.name: self._neurons(p) for p in graph.neurons}
        synapses = [self._synapses(q, k) for k, q in enumerate(graph.projections) if q.n_synapses]
        self.firing = {name: b2.SpikeMonitor(self.neurons[name], name=f"spikes_{self.place[name]}") for name in kept.spikes}
        self.traced = {name: self._states(name, recorded) for name, recorded in traced(graph, kept).items()}
        self.network = b2.Network(
            *self.inputs.values(), *self.neurons.values(), *synapses, *self.firing.values(), *self.traced.values(), name="replicas"
        )

    def _generator(self, p: Input) -> Any:
        nothing = np.zeros(0, dtype=np.int64)
        return self.b2.SpikeGeneratorGroup(
            p.n * self.n_samples, nothing, nothing * self.b2.second, clock=self.clock, name=f"input_{self.place[p.name]}"
        )

    def _neurons(self, p: Neurons) -> Any:
        incoming = self.graph.incoming(p.name)
        integer = self.dtype == np.int64
        states, whole = code.variables(p, len(incoming), integer)
        constants = parameters(p)
        dtypes = dict.fromkeys(states, self.dtype) | dict.fromkeys(whole, np.dtype(np.int64)) | {x: y.dtype for x, y in constants.items()}
        model = [f"{name} : {'integer' if dtype == np.int64 else '1'}" for name, dtype in dtypes.items()]
        group = self.b2.NeuronGroup(
            p.n * self.n_samples,
            "\n".join(line + " (constant)" * (name in constants) for name, line in zip(dtypes, model, strict=True)),
            threshold=None if isinstance(p, LI) else "z > 0",
            dtype=dtypes,
            namespace={},
            clock=self.clock,
            name=f"neurons_{self.place[p.name]}",
        )
        for name, array in constants.items():
            getattr(group, name)[:] = np.tile(array, self.n_samples)
        group.run_regularly(code.update(p, incoming, integer), when="groups", clock=self.clock, name=f"step_{self.place[p.name]}")
        return group

    def _synapses(self, q: Projection, place: int) -> Any:
        k = [p.name for p in self.graph.incoming(q.target)].index(q.name)
        synapses = self.b2.Synapses(
            (self.inputs | self.neurons)[q.source],
            self.neurons[q.target],
            f"w : {'integer' if self.dtype == np.int64 else '1'}",
            on_pre=f"{code.arrived(k)}_post += w",
            dtype={"w": self.dtype},
            namespace={},
            clock=self.clock,
            name=f"projection_{place}",
        )
        replica = np.arange(self.n_samples)[:, None]
        n_target = self.graph.population(q.target).n
        synapses.connect(i=(replica * q.n_source + q.rows).ravel(), j=(replica * n_target + q.indices).ravel())
        synapses.w[:] = np.tile(q.weights, self.n_samples)
        synapses.delay[:] = np.tile(q.delays - 1, self.n_samples) * self.clock.dt
        return synapses

    def _states(self, name: str, recorded: tuple[str, ...]) -> Any:
        return self.b2.StateMonitor(
            self.neurons[name], list(recorded), record=True, clock=self.clock, when="end", name=f"states_{self.place[name]}"
        )

    def events(self, spikes: Spikes) -> tuple[np.ndarray, np.ndarray]:
        """A batch of input spikes as (index in the generator, step), in the order that the generator wants."""
        index = spikes.sample.astype(np.int64) * spikes.n_neurons + spikes.neuron
        order = np.lexsort((index, spikes.step))
        return index[order], spikes.step[order].astype(np.int64)


def traced(graph: Graph, kept: Kept) -> dict[str, tuple[str, ...]]:
    """Variables to record, by population: of readouts always, of others where asked for."""
    return {p.name: ("v", "a") if isinstance(p, ALIF) else ("v",) for p in graph.neurons if isinstance(p, LI) or p.name in kept.states}
