"""A graph on a live Lava network: call after call without building it anew."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neuromorph.backends.base import Inputs, Kept, Progress, enforce, match_inputs
from neuromorph.backends.lava.filenames import input_file, place, saturation_file, signal_file, synapses_place, trace_file
from neuromorph.backends.lava.netlist import Learning, lower, played, recorded
from neuromorph.backends.lava.network import Network, load_counts, load_samples
from neuromorph.backends.plastic import ThirdFactors, match_third_factors
from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

APPROXIMATE = "lava, approximate stock rule"  # backend of recordings of Lava's learning engine


class LavaSession:
    """One graph on one live network, made by `LavaBackend.session`; leave its `with` block or `close` it to end the processes.

    Every call of `run` starts every sample from zero state. One call at a time: a session is not for several threads. An error,
    a timeout or an interrupt during a call closes the session.
    """

    def __init__(self, graph: Graph, kept: Kept, python: str, timeout: float | None, learning: Learning = "exact") -> None:
        self._graph, self._kept = graph, kept
        self._name = "lava" if learning == "exact" or not graph.plastic else APPROXIMATE
        self._network = Network(python, lower(graph, kept, learning), timeout) if graph.n_neurons else None

    def run(
        self, inputs: Inputs, *, strict: bool = False, progress: Progress | None = None, third_factors: ThirdFactors | None = None
    ) -> Recording:
        """Simulate all samples of `inputs`, of any number and length; see `neuromorph.backends.base.Backend.run`.

        Raises:
            GraphError: inputs do not fit the graph.
            BackendError: the session is closed, the network failed, or the call took too long.
        """
        by_name = match_inputs(self._graph, inputs)
        n_steps, n_samples, _ = next(iter(by_name.values())).shape
        third = match_third_factors(self._graph, third_factors or {}, n_steps, n_samples)
        graph, network = self._graph, self._network
        if network:
            files: dict[str, Spikes | np.ndarray] = {input_file(graph, name): by_name[name] for name in played(graph)}
            files |= {signal_file(graph, name): signal for name, signal in third.items()}
            with network.run(files, n_steps, n_samples, progress) as folder:
                recording = _recording(self._name, graph, folder, self._kept, n_steps, n_samples)
        else:
            recording = _recording(self._name, graph, Path(), self._kept, n_steps, n_samples)
        enforce(strict, recording.saturations, recording.backend)
        return recording

    def close(self) -> None:
        """End the network; nothing happens if it has ended."""
        if self._network:
            self._network.close()

    def __enter__(self) -> "LavaSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _recording(name: str, graph: Graph, folder: Path, kept: Kept, n_steps: int, n_samples: int) -> Recording:
    """The files of a call as a recording."""
    spikes: dict[str, Spikes] = {}
    traces: dict[str, dict[str, np.ndarray]] = {}
    saturations: dict[str, int] = {}
    for p in graph.neurons:
        owner = place(graph, p.name)
        samples = {x: load_samples(folder / trace_file(owner, x), n_samples) for x in recorded(p, kept)}
        if "z" in samples:
            spikes[p.name] = _spikes(samples.pop("z"), (n_steps, n_samples, p.n), graph.dt)
        traces[p.name] = {x: np.stack(list(each), axis=1) for x, each in samples.items()}
        saturations |= {f"{p.name}.{x}": count for x, count in load_counts(folder / saturation_file(owner)).items()}
    learned: dict[str, dict[str, np.ndarray]] = {}
    for q in graph.plastic:
        owner = synapses_place(graph, q.name)
        saturations |= {f"{q.name}.{x}": count for x, count in load_counts(folder / saturation_file(owner)).items()}
        if q.name in kept.plastic:
            samples = {x: load_samples(folder / trace_file(owner, x), n_samples) for x in ("H", "E")}
            learned[q.name] = {x: np.stack(list(each), axis=1) for x, each in samples.items()}
    return Recording(
        backend=name,
        precision=graph.precision,
        graph_digest=graph.digest(),
        dt=graph.dt,
        n_samples=n_samples,
        n_steps=n_steps,
        spikes=spikes,
        readouts={p.name: traces[p.name]["v"] for p in graph.readouts},
        states={name: traces[name] for name in kept.states} | learned,
        saturations=saturations,
    )


def _spikes(samples: Iterator[np.ndarray], shape: tuple[int, int, int], dt: float) -> Spikes:
    """Events of rasters [n_steps, n], one sample after the other."""
    steps, neurons = zip(*(np.nonzero(raster) for raster in samples))
    sample = np.repeat(np.arange(shape[1]), [len(s) for s in steps])
    sample, step, neuron = (x.astype(np.int32) for x in (sample, np.concatenate(steps), np.concatenate(neurons)))
    return Spikes(sample, step, neuron, n_samples=shape[1], n_steps=shape[0], n_neurons=shape[2], dt=dt)
