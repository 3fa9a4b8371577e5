"""A graph on a live Lava network, one step at a time: what it does may decide what it is given next."""

from collections.abc import Mapping

import numpy as np

from neuromorph.backends.base import Kept, Step
from neuromorph.backends.lava.filenames import input_file, place, signal_file, synapses_place, trace_file
from neuromorph.backends.lava.netlist import Learning, lower, played
from neuromorph.backends.lava.network import Network
from neuromorph.backends.plastic import ThirdFactors, match_step
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF

BEGAN = "began.npy"  # the Lava step with which the sample began


class LavaSteps:
    """See `backends.base.StepSession`; one sample, made by `LavaBackend.step_session`. Leave its `with` block to end the processes.

    The first step waits for the network to be built (some seconds). An error, a timeout or an interrupt during a step closes the session.
    """

    def __init__(self, graph: Graph, python: str, timeout: float | None, learning: Learning = "exact") -> None:
        self._graph = graph
        self._firing = tuple(p.name for p in graph.neurons if isinstance(p, LIF))
        self._shared: dict[str, np.ndarray] = {}
        kept = Kept(self._firing, (), tuple(q.name for q in graph.plastic))
        self._network = Network(python, lower(graph, kept, learning), timeout) if graph.n_neurons else None
        if self._network:
            self._shared = self._network.share(_arrays(graph))
        self._steps = 0
        self.reset()

    def reset(self) -> None:
        """Back to the state before the first step; the network stays up."""
        for q in self._graph.plastic:
            for x in ("H", "E"):
                self._array(synapses_place(self._graph, q.name), x)[:] = 0
        if self._network:
            self._shared[BEGAN][:] = self._steps + 1

    def step(self, inputs: Mapping[str, np.ndarray], third_factors: ThirdFactors | None = None) -> Step:
        """See `backends.base.StepSession.step`.

        Raises:
            GraphError: inputs or third factors do not fit the graph.
            BackendError: the session is closed, the network failed, or the step took too long.
        """
        graph = self._graph
        given, third = match_step(graph, 1, inputs, third_factors or {})
        if not self._network:
            return Step({}, {})
        for name in played(graph):
            self._shared[input_file(graph, name)][:] = given[name]
        for name, signal in third.items():
            self._shared[signal_file(graph, name)][:] = signal
        self._network.step()
        self._steps += 1
        spikes = {name: np.array(self._array(place(graph, name), "z")) for name in self._firing}
        return Step(spikes, {p.name: np.array(self._array(place(graph, p.name), "v")) for p in graph.readouts})

    def plastic(self, name: str) -> dict[str, np.ndarray]:
        """`H` and `E` of a plastic projection as they are now [1, n_synapses].

        Raises:
            GraphError: the graph has no plastic projection of that name.
        """
        names = [q.name for q in self._graph.plastic]
        if name not in names:
            raise GraphError(f"Step session: {name!r} is no plastic projection; there are {', '.join(names)}.")
        return {x: np.array(self._array(synapses_place(self._graph, name), x)) for x in ("H", "E")}

    def _array(self, owner: str, variable: str) -> np.ndarray:
        return self._shared[trace_file(owner, variable)]

    def close(self) -> None:
        """End the network; nothing happens if it has ended."""
        if self._network:
            self._network.close()

    def __enter__(self) -> "LavaSteps":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _arrays(graph: Graph) -> dict[str, np.ndarray]:
    """By file name the arrays [1, n] that are exchanged with the processes: inputs and signals, spikes, readouts, H and E, the time."""
    number = np.int64 if graph.precision == "integer" else np.float64
    shapes = {input_file(graph, name): (graph.population(name).n, np.bool_) for name in played(graph)}
    shapes |= {signal_file(graph, name): (n, number) for name, n in graph.third_factors.items()}
    shapes |= {trace_file(place(graph, p.name), "z"): (p.n, np.bool_) for p in graph.neurons if isinstance(p, LIF)}
    shapes |= {trace_file(place(graph, p.name), "v"): (p.n, number) for p in graph.readouts}
    shapes |= {trace_file(synapses_place(graph, q.name), x): (q.n_synapses, number) for q in graph.plastic for x in ("H", "E")}
    return {name: np.zeros((1, n), dtype) for name, (n, dtype) in shapes.items()} | {BEGAN: np.ones(1, np.int64)}
