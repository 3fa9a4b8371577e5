"""Target cpp_standalone: one C++ program for all batches, compiled once and run again with other input spikes."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.brian2.batch import Batch
from neuromorph.backends.brian2.recorder import Recorder
from neuromorph.backends.brian2.replicas import Replicas
from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph


class Standalone:
    """The program in `folder`. Its array sizes are fixed: a batch is filled up to `capacity` input spikes, a population,
    with spikes after the last step. A folder that holds the program of an equal network is not compiled again.
    """

    def __init__(
        self,
        b2: Any,
        graph: Graph,
        kept: Kept,
        n_samples: int,
        n_steps: int,
        third: Mapping[str, np.ndarray],
        capacity: Mapping[str, int],
        folder: str | os.PathLike[str],
    ) -> None:
        self.n_steps, self.capacity, self.folder = n_steps, capacity, Path(folder).absolute()
        self.replicas = replicas = Replicas(b2, graph, kept, n_samples, n_steps, third)
        self.device = b2.get_device()
        self.device.run_environment_variables.clear()
        for name, generator in replicas.inputs.items():
            index, step = self._filled(np.zeros((2, 0), dtype=np.int32), capacity[name])
            generator.set_spikes(index, step * replicas.clock.dt, sorted=True)
            for variable in ("neuron_index", "_timebins"):
                generator.variables[variable].read_only = False  # so that the program takes them as arguments
        replicas.network.run(n_steps * replicas.clock.dt, namespace={})
        try:
            self.device.build(directory=str(self.folder), compile=True, run=False, with_output=False)
        except RuntimeError as error:
            raise BackendError(f"brian2: {error} The compiler's output stands above; target='numpy' needs no compiler.") from error

    def run(self, batch: Batch, recorder: Recorder, report: Callable[[int], None]) -> None:
        """Simulate a batch; `report` is told the steps done."""
        try:
            self.device.run(with_output=False, run_args=self._arguments(batch))
        except RuntimeError as error:
            raise BackendError(f"brian2: the program in {self.folder} failed: {error}") from error
        finally:
            for file in (self.folder / "static_arrays").glob("init_*"):
                file.unlink()
        recorder.take(self.replicas, batch.samples, 0)
        recorder.count(self.replicas, batch)
        report(self.n_steps)

    def _arguments(self, batch: Batch) -> dict[Any, np.ndarray]:
        arguments: dict[Any, np.ndarray] = {}
        for name, spikes in batch.inputs.items():
            generator = self.replicas.inputs[name]
            index, step = self._filled(np.stack(self.replicas.events(spikes)).astype(np.int32), self.capacity[name])
            arguments |= {generator.state("neuron_index"): index, generator.state("_timebins"): step}
        for name, signal in self.replicas.signals.items():
            arguments[signal.values] = signal.filled(batch.third[name])
        for learning in self.replicas.drawing:
            arguments[learning.terminals.state("sample")] = learning.sample_numbers(batch.samples.start)
        return arguments

    def _filled(self, events: np.ndarray, size: int) -> np.ndarray:
        """Events [2, n] as (index, step), filled up with spikes of neuron 0 after the run."""
        late = np.arange(size - events.shape[1], dtype=np.int32)
        return np.concatenate([events, np.stack([0 * late, self.n_steps + late])], axis=1)
