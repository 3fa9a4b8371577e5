"""What Brian2's monitors hold, moved into the arrays of a recording batch by batch and chunk by chunk."""

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.brian2.batch import Batch
from neuromorph.backends.brian2.replicas import Replicas, traced
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes


class Recorder:
    """Traces [n_steps, n_samples, n] and events of all samples; the monitors hold one chunk of one batch at a time."""

    def __init__(self, graph: Graph, kept: Kept, n_samples: int, n_steps: int) -> None:
        self.graph, self.kept, self.n_samples, self.n_steps = graph, kept, n_samples, n_steps
        dtype = np.int64 if graph.precision == "integer" else np.float64
        self.traces = {
            name: {x: np.zeros((n_steps, n_samples, graph.population(name).n), dtype=dtype) for x in variables}
            for name, variables in traced(graph, kept).items()
        }
        self.learnt = {
            name: {x: np.zeros((n_steps, n_samples, graph.projection(name).n_synapses), dtype=dtype) for x in ("H", "E")}
            for name in kept.plastic
        }
        self.events: dict[str, list[np.ndarray]] = {name: [] for name in kept.spikes}
        self.saturations: dict[str, int] = {}

    def take(self, replicas: Replicas, samples: range, first_step: int) -> None:
        """Copy the monitors' content; `samples`: those of the batch, at the beginning of the replicas."""
        monitors = [(self.traces[name], monitor) for name, monitor in replicas.traced.items()]
        monitors += [(self.learnt[name], monitor) for name, monitor in replicas.learnt.items()]
        for traces, monitor in monitors:
            for x in monitor.record_variables:
                block = monitor.variables[x].get_value()
                block = block.reshape(len(block), replicas.n_samples, -1)
                traces[x][first_step : first_step + len(block), samples.start : samples.stop] = block[:, : len(samples)]
        for name, monitor in replicas.firing.items():
            sample, neuron = np.divmod(monitor.variables["i"].get_value(), self.graph.population(name).n)
            step = np.rint(monitor.variables["t"].get_value() / self.graph.dt)
            columns = np.stack([sample + samples.start, step.astype(np.int32), neuron])
            self.events[name].append(columns[:, sample < len(samples)])

    def count(self, replicas: Replicas, batch: Batch) -> None:
        """Add what the batch clipped and wrapped."""
        for key, group, variable in replicas.counters():
            counts = group.variables[variable].get_value()
            self._add(key, int(counts[: len(counts) // replicas.n_samples * len(batch.samples)].sum()))
        for q in self.graph.plastic:
            if q.plasticity and q.plasticity.fixed and q.plasticity.third_factor:
                given = self._third(q.plasticity.third_factor, q.plasticity.fixed.third_shift, batch)
                self._add(f"{q.name}.M", int(np.count_nonzero(np.abs(given) > q.plasticity.third_limit)))

    def _third(self, name: str, shift: int, batch: Batch) -> np.ndarray:
        """The third factor of that name before it is clipped, of all steps."""
        if name in batch.third:
            return batch.third[name]
        y: np.ndarray = self.traces[name]["v"][:, batch.samples.start : batch.samples.stop]
        return y >> shift

    def _add(self, key: str, count: int) -> None:
        if count:
            self.saturations[key] = self.saturations.get(key, 0) + count

    def recording(self, backend: str) -> Recording:
        readouts = {p.name for p in self.graph.readouts}
        return Recording(
            backend=backend,
            precision=self.graph.precision,
            graph_digest=self.graph.digest(),
            dt=self.graph.dt,
            n_samples=self.n_samples,
            n_steps=self.n_steps,
            spikes={name: self._spikes(name) for name in self.kept.spikes},
            readouts={name: traces["v"] for name, traces in self.traces.items() if name in readouts},
            states={name: self.traces[name] for name in self.kept.states} | self.learnt,
            saturations=self.saturations,
        )

    def _spikes(self, name: str) -> Spikes:
        sample, step, neuron = np.concatenate([np.zeros((3, 0), dtype=np.int32), *self.events[name]], axis=1)
        n = self.graph.population(name).n
        return Spikes.from_events(sample, step, neuron, n_samples=self.n_samples, n_steps=self.n_steps, n_neurons=n, dt=self.graph.dt)
