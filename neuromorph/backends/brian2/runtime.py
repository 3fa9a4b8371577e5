"""Targets numpy and cython: the network advances in this process, chunk by chunk."""

from collections.abc import Callable
from typing import Any

from neuromorph.backends.base import Kept
from neuromorph.backends.brian2.recorder import Recorder
from neuromorph.backends.brian2.replicas import Replicas
from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph
from neuromorph.spikes import Spikes

CHUNK_BYTES = 2**26  # that the monitors hold at most, where the caller sets no chunk


class Runtime:
    """One network for all batches: restored to its first state, fed, run by chunks of steps.

    With Brian2's default schedule no spike is lost between two runs.
    """

    def __init__(self, b2: Any, graph: Graph, kept: Kept, n_samples: int, n_steps: int, chunk: int | None) -> None:
        self.b2, self.n_steps, self.replicas = b2, n_steps, Replicas(b2, graph, kept, n_samples)
        self.chunk = chunk or max(1, CHUNK_BYTES // _bytes_a_step(self.replicas))
        self.replicas.network.store()

    def run(self, inputs: dict[str, Spikes], samples: range, recorder: Recorder, report: Callable[[int], None]) -> None:
        """Simulate the samples `inputs` of a batch; `report` is told the steps done."""
        replicas, dt = self.replicas, self.replicas.clock.dt
        replicas.network.restore()
        for name, spikes in inputs.items():
            index, step = replicas.events(spikes)
            replicas.inputs[name].set_spikes(index, step * dt, sorted=True)
        for first in range(0, self.n_steps, self.chunk):
            last = min(first + self.chunk, self.n_steps)
            try:
                replicas.network.run((last - first) * dt, namespace={})
            except self.b2.BrianObjectException as error:
                raise BackendError(f"brian2: a step could not be compiled or run: {error.__cause__}") from error
            recorder.take(replicas, samples, first)
            _clear(replicas)
            report(last)
        recorder.count(replicas, samples)


def _clear(replicas: Replicas) -> None:
    for monitor in (*replicas.firing.values(), *replicas.traced.values()):
        monitor.resize(0)
        monitor.variables["N"].set_value(0)


def _bytes_a_step(replicas: Replicas) -> int:
    """Of the monitors, if every neuron fired: 8 a state; an index of 4 and a time of 8 a spike."""
    states = sum(8 * len(monitor.record_variables) * len(monitor.source) for monitor in replicas.traced.values())
    return 1 + states + sum(12 * len(monitor.source) for monitor in replicas.firing.values())
