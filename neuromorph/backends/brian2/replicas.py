"""A graph as one Brian2 network that holds it once for every sample of a batch.

The default schedule (groups, thresholds, synapses) gives a synapse without delay exactly one step, so a delay of d steps
is a Brian2 delay of (d - 1) dt, and nothing is in flight outside the queues: a run may stop and go on at any step.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.brian2 import code, rule
from neuromorph.backends.brian2.learning import Learning, connect
from neuromorph.backends.brian2.signals import Signal
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, Input, Neurons, parameters
from neuromorph.graph.projections import Projection
from neuromorph.spikes import Spikes


class Replicas:
    """`n_samples` copies of a graph, with monitors of what is kept.

    Objects are named by the place of their population or projection in the graph, so that equal networks give equal code.
    `inputs`, `neurons`: by population name. `signals`: third factors by name. `learning`: plastic projections by name. `firing`: spike
    monitors. `traced`: state monitors, `learnt`: those of plastic projections.
    """

    def __init__(self, b2: Any, graph: Graph, kept: Kept, n_samples: int, n_steps: int, third: Mapping[str, np.ndarray]) -> None:
        self.b2, self.graph, self.n_samples = b2, graph, n_samples
        self.dtype = np.dtype(np.int64 if graph.precision == "integer" else np.float64)
        self.clock = b2.Clock(dt=graph.dt * b2.second, name="steps")
        self.place = {p.name: k for k, p in enumerate(graph.populations)}
        self.inputs = {p.name: self._generator(p) for p in graph.inputs}
        self.neurons = {p.name: self._neurons(p) for p in graph.neurons}
        self.signals = {
            name: Signal(b2, self.clock, k, third[name].shape[2], n_samples, n_steps, self.dtype == np.int64)
            for k, name in enumerate(graph.third_factors)
        }
        synapses = [self._synapses(q, k) for k, q in enumerate(graph.projections) if q.n_synapses and q.plasticity is None]
        self.learning = {q.name: self._learning(q, k) for k, q in enumerate(graph.projections) if q.plasticity}
        self.firing = {name: b2.SpikeMonitor(self.neurons[name], name=f"spikes_{self.place[name]}") for name in kept.spikes}
        self.traced = {name: self._states(name, recorded) for name, recorded in traced(graph, kept).items()}
        self.learnt = {name: self.learning[name].monitor() for name in kept.plastic if self.learning[name].synapses}
        learning = [x for each in self.learning.values() for x in each.objects]
        signals = [signal.group for signal in self.signals.values()]
        self.network = b2.Network(
            *self.inputs.values(), *self.neurons.values(), *signals, *synapses, *learning, *self.monitors, name="replicas"
        )

    @property
    def monitors(self) -> tuple[Any, ...]:
        return (*self.firing.values(), *self.traced.values(), *self.learnt.values())

    @property
    def drawing(self) -> list[Learning]:
        """The plastic projections that must know the samples' numbers."""
        return [learning for learning in self.learning.values() if learning.draws]

    def _generator(self, p: Input) -> Any:
        nothing = np.zeros(0, dtype=np.int64)
        return self.b2.SpikeGeneratorGroup(
            p.n * self.n_samples, nothing, nothing * self.b2.second, clock=self.clock, name=f"input_{self.place[p.name]}"
        )

    def _neurons(self, p: Neurons) -> Any:
        incoming = self.graph.incoming(p.name)
        integer = self.dtype == np.int64
        states, whole = code.variables(p, incoming, integer)
        constants = parameters(p)
        dtypes = dict.fromkeys(states, self.dtype) | dict.fromkeys(whole, np.dtype(np.int64)) | {x: y.dtype for x, y in constants.items()}
        model = [f"{name} : {'integer' if dtype == np.int64 else '1'}" for name, dtype in dtypes.items()]
        linked = [rule.third(k) for k, q in enumerate(incoming) if q.plasticity and q.plasticity.third_factor]
        lines = [line + " (constant)" * (name in constants) for name, line in zip(dtypes, model, strict=True)]
        group = self.b2.NeuronGroup(
            p.n * self.n_samples,
            "\n".join([*lines, *(f"{name} : {'integer' if integer else '1'} (linked)" for name in linked)]),
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
        synapses = self.b2.Synapses(
            (self.inputs | self.neurons)[q.source],
            self.neurons[q.target],
            f"w : {'integer' if self.dtype == np.int64 else '1'}",
            on_pre=f"{rule.arrived(self._number(q))}_post += w",
            dtype={"w": self.dtype},
            namespace={},
            clock=self.clock,
            name=f"projection_{place}",
        )
        connect(synapses, q, self.graph.population(q.target).n, self.n_samples)
        synapses.delay[:] = np.tile(q.delays - 1, self.n_samples) * self.clock.dt
        return synapses

    def _number(self, q: Projection) -> int:
        """Its place among the projections onto its target."""
        return [p.name for p in self.graph.incoming(q.target)].index(q.name)

    def _learning(self, q: Projection, place: int) -> Learning:
        source, target = (self.inputs | self.neurons)[q.source], self.neurons[q.target]
        learning = Learning(self.b2, self.clock, q, self._number(q), place, source, target, self.n_samples)
        name = q.plasticity.third_factor if q.plasticity else ""
        if name in self.neurons:
            learning.link(self.neurons[name], "v", self.graph.population(name).n)
        elif name:
            learning.link(self.signals[name].group, "m", self.signals[name].width)
        learning.observe(from_readout=name in self.neurons)
        return learning

    def _states(self, name: str, recorded: tuple[str, ...]) -> Any:
        return self.b2.StateMonitor(
            self.neurons[name], list(recorded), record=True, clock=self.clock, when="end", name=f"states_{self.place[name]}"
        )

    def events(self, spikes: Spikes) -> tuple[np.ndarray, np.ndarray]:
        """A batch of input spikes as (index in the generator, step), in the order that the generator wants."""
        index = spikes.sample.astype(np.int64) * spikes.n_neurons + spikes.neuron
        order = np.lexsort((index, spikes.step))
        return index[order], spikes.step[order].astype(np.int64)

    def counters(self) -> Iterator[tuple[str, Any, str]]:
        """(population or projection and what is clipped or wrapped of it, the group that counts it, in which variable)."""
        for name, group in self.neurons.items():
            for state, counter in code.COUNTERS.items():
                if counter in group.variables:
                    yield f"{name}.{state}", group, counter
        for name, learning in self.learning.items():
            for state, group, counter in learning.counters():
                yield f"{name}.{state}", group, counter


def traced(graph: Graph, kept: Kept) -> dict[str, tuple[str, ...]]:
    """Variables to record, by population: of readouts always, of others where asked for."""
    return {p.name: ("v", "a") if isinstance(p, ALIF) else ("v",) for p in graph.neurons if isinstance(p, LI) or p.name in kept.states}
