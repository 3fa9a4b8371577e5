"""A graph laid out for the kernel, and its runs on batches of samples."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from neuromorph.backends.fast import kernel
from neuromorph.backends.fast.events import spikes_of, train_of
from neuromorph.backends.fast.layout import Layout
from neuromorph.backends.fast.tables import tables
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LIF
from neuromorph.recording import Recording
from neuromorph.simd.buffers import zeros
from neuromorph.simd.share import share
from neuromorph.spikes import Spikes

PIECE = 32
"""Samples that a thread takes at a time."""


class Simulator:
    """`graph` ready to run; `wanted`: populations whose states are recorded; `name`: of the backend."""

    def __init__(self, graph: Graph, wanted: Sequence[str], name: str) -> None:
        self.graph, self.wanted, self.name = graph, wanted, name
        self.layout = Layout.of(graph)
        self.tables = tables(graph, self.layout)
        self.kept_v = self._places(dict.fromkeys([*(p.name for p in graph.readouts), *wanted]))
        self.kept_a = self._places([name for name in wanted if isinstance(graph.population(name), ALIF)])

    def _places(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        return {name: self.layout.place[name] + np.arange(self.graph.population(name).n) for name in names}

    def run(self, inputs: Sequence[Spikes]) -> Recording:
        """All samples of `inputs`, one for each Input population, from zero state to the last step."""
        graph, train = self.graph, train_of(inputs)
        n_steps, n_samples = inputs[0].shape[:2]
        pieces = -(-n_samples // PIECE)
        z = np.zeros((n_samples, n_steps, self.layout.n // kernel.WORD), np.uint16)
        kept_v, kept_a = (np.concatenate([np.zeros(0, np.int64), *each.values()]) for each in (self.kept_v, self.kept_a))
        number = np.float64 if self.tables.dtype == np.float64 else np.int64
        v, a = (np.empty((n_steps, n_samples, len(places)), number) for places in (kept_v, kept_a))
        saturated = np.zeros((pieces, len(graph.neurons), 3), np.int64)

        def work() -> Callable[[int], None]:
            state = self._state()

            def run(piece: int) -> None:
                found = kernel.Found(z, v, a, kept_v, kept_a, saturated[piece])
                kernel.simulate(piece * PIECE, min((piece + 1) * PIECE, n_samples), self.tables, train, state, found)

            return run

        share(work, pieces)
        traces_v, traces_a = _split(v, self.kept_v), _split(a, self.kept_a)
        return Recording(
            backend=self.name,
            precision=graph.precision,
            graph_digest=graph.digest(),
            dt=graph.dt,
            n_samples=n_samples,
            n_steps=n_steps,
            spikes={p.name: spikes_of(z, self.layout.place[p.name], p.n, graph.dt) for p in graph.neurons if isinstance(p, LIF)},
            readouts={p.name: traces_v[p.name] for p in graph.readouts},
            states={name: {x: t[name] for x, t in (("v", traces_v), ("a", traces_a)) if name in t} for name in self.wanted},
            saturations=self._saturations(saturated.sum(0)),
        )

    def _state(self) -> kernel.State:
        """Working memory of one thread."""
        g, n = self.tables, self.layout.n
        v, u, a, drive, ring = (zeros((size,), g.dtype) for size in (n, n, n, n, g.lines.columns))
        fired, blocked = (zeros((g.reach.shape[1],), np.uint16) for _ in range(2))
        source, begin = np.zeros(g.n_in + n, np.int32), np.zeros(len(g.sources), np.int64)
        now = np.zeros(len(g.lines.width), np.int64)
        return kernel.State(v, u, a, drive, ring, now, fired, blocked, zeros(g.reach.shape, np.uint16), source, begin)

    def _saturations(self, found: np.ndarray) -> dict[str, int]:
        return {f"{p.name}.{x}": int(count) for p, row in zip(self.graph.neurons, found) for x, count in zip("vua", row) if count}


def _split(trace: np.ndarray, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The traces of each population."""
    ends = np.cumsum([0, *(len(places) for places in kept.values())])
    return {name: np.ascontiguousarray(trace[..., first:last]) for name, first, last in zip(kept, ends, ends[1:])}
