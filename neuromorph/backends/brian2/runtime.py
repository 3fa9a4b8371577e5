"""Targets numpy and cython: the network advances in this process, chunk by chunk."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.brian2.batch import Batch
from neuromorph.backends.brian2.recorder import Recorder
from neuromorph.backends.brian2.replicas import Replicas
from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph

CHUNK_BYTES = 2**26  # that the monitors hold at most, where the caller sets no chunk


class Runtime:
    """One network for all batches: restored to its first state, fed, run by chunks of steps.

    With Brian2's default schedule no spike is lost between two runs.
    """

    def __init__(
        self, b2: Any, graph: Graph, kept: Kept, n_samples: int, n_steps: int, third: Mapping[str, np.ndarray], chunk: int | None
    ) -> None:
        self.b2, self.n_steps, self.replicas = b2, n_steps, Replicas(b2, graph, kept, n_samples, n_steps, third)
        self.chunk = chunk or max(1, CHUNK_BYTES // _bytes_a_step(self.replicas))
        self.replicas.network.store()

    def run(self, batch: Batch, recorder: Recorder, report: Callable[[int], None]) -> None:
        """Simulate a batch; `report` is told the steps done."""
        self.replicas.network.restore()
        self._feed(batch)
        replicas, dt = self.replicas, self.replicas.clock.dt
        for first in range(0, self.n_steps, self.chunk):
            last = min(first + self.chunk, self.n_steps)
            try:
                replicas.network.run((last - first) * dt, namespace={})
            except self.b2.BrianObjectException as error:
                raise BackendError(f"brian2: a step could not be compiled or run: {error.__cause__}") from error
            recorder.take(replicas, batch.samples, first)
            _clear(replicas)
            report(last)
        recorder.count(replicas, batch)

    def _feed(self, batch: Batch) -> None:
        replicas = self.replicas
        for name, spikes in batch.inputs.items():
            index, step = replicas.events(spikes)
            replicas.inputs[name].set_spikes(index, step * replicas.clock.dt, sorted=True)
        for name, signal in replicas.signals.items():
            signal.values.values[:] = signal.filled(batch.third[name])
        for learning in replicas.drawing:
            learning.terminals.sample[:] = learning.sample_numbers(batch.samples.start)


def _clear(replicas: Replicas) -> None:
    for monitor in replicas.monitors:
        monitor.resize(0)
        monitor.variables["N"].set_value(0)


def _bytes_a_step(replicas: Replicas) -> int:
    """Of the monitors, if every neuron fired: 8 a state or synapse; an index of 4 and a time of 8 a spike."""
    states = sum(8 * len(m.record_variables) * m.n_indices for m in (*replicas.traced.values(), *replicas.learnt.values()))
    return 1 + states + sum(12 * len(monitor.source) for monitor in replicas.firing.values())
