"""A graph laid out for the kernel, and its runs on batches of samples."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.fast import kernel
from neuromorph.backends.fast.events import spikes_of, train_of
from neuromorph.backends.fast.layout import WORD, Layout
from neuromorph.backends.fast.summary import Summary
from neuromorph.backends.fast.tables import tables
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF
from neuromorph.recording import Recording
from neuromorph.simd.buffers import zeros
from neuromorph.simd.share import share
from neuromorph.spikes import Spikes

PIECE = 32
"""Samples that a thread takes at a time."""
NOTHING = np.zeros(0, np.int64)


class Simulator:
    """`graph` ready to run; `name`: of the backend."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name
        self.layout = Layout.of(graph)
        self.tables = tables(graph, self.layout)
        self.number = np.dtype(np.float64 if self.tables.dtype == np.float64 else np.int64)

    def record(self, inputs: Mapping[str, Spikes], kept: Kept) -> Recording:
        """Everything that all samples of `inputs`, by Input population, do, as far as it is to be `kept`."""
        graph, (n_steps, n_samples) = self.graph, next(iter(inputs.values())).shape[:2]
        v = self._places(dict.fromkeys([*(p.name for p in graph.readouts), *kept.states]))
        a = self._places([name for name in kept.states if isinstance(graph.population(name), ALIF)])
        z = np.zeros((n_samples, n_steps, self.layout.n // WORD), np.uint16)
        traces = [np.empty((n_steps, n_samples, len(_joined(places))), self.number) for places in (v, a)]
        saturations = self._run(inputs, z=z, v=traces[0], a=traces[1], kept_v=_joined(v), kept_a=_joined(a))
        traces_v, traces_a = (_split(trace, places) for trace, places in zip(traces, (v, a)))
        return Recording(
            backend=self.name,
            precision=graph.precision,
            graph_digest=graph.digest(),
            dt=graph.dt,
            n_samples=n_samples,
            n_steps=n_steps,
            spikes={name: spikes_of(z, self.layout.place[name], graph.population(name).n, graph.dt) for name in kept.spikes},
            readouts={p.name: traces_v[p.name] for p in graph.readouts},
            states={name: {x: t[name] for x, t in (("v", traces_v), ("a", traces_a)) if name in t} for name in kept.states},
            saturations=saturations,
        )

    def summarise(self, inputs: Mapping[str, Spikes], window: int) -> Summary:
        """Counts and mean readouts of all samples of `inputs`."""
        graph, (n_steps, n_samples) = self.graph, next(iter(inputs.values())).shape[:2]
        places = self._places(p.name for p in graph.readouts)
        fired = np.zeros((n_samples, self.tables.n_in + self.layout.n), np.int32)
        active = np.zeros((n_samples, len(graph.neurons)), np.int64)
        sums = np.zeros((n_samples, len(_joined(places))), self.number)
        saturations = self._run(inputs, fired=fired, active=active, sums=sums, kept_sums=_joined(places), since=n_steps - window)
        firsts = dict(zip((p.name for p in (*graph.inputs, *graph.neurons)), self.tables.sources.tolist()))
        emitting = [p for p in graph.populations if p.name in firsts and p not in graph.readouts]
        return Summary(
            graph_digest=graph.digest(),
            dt=graph.dt,
            n_samples=n_samples,
            n_steps=n_steps,
            window=window,
            fired={p.name: fired[:, firsts[p.name] :][:, : p.n].copy() for p in emitting},
            active={p.name: active[:, k].copy() for k, p in enumerate(graph.neurons)},
            readouts={name: sums_ / window for name, sums_ in _split(sums, places).items()},
            saturations=saturations,
        )

    def _run(
        self,
        inputs: Mapping[str, Spikes],
        *,
        z: np.ndarray | None = None,
        v: np.ndarray | None = None,
        a: np.ndarray | None = None,
        kept_v: np.ndarray = NOTHING,
        kept_a: np.ndarray = NOTHING,
        fired: np.ndarray | None = None,
        active: np.ndarray | None = None,
        sums: np.ndarray | None = None,
        kept_sums: np.ndarray = NOTHING,
        since: int = 0,
    ) -> dict[str, int]:
        """Fill what is given (see `kernel.Found`); gives the saturations."""
        train, (n_steps, n_samples) = train_of([inputs[p.name] for p in self.graph.inputs]), next(iter(inputs.values())).shape[:2]
        pieces = -(-n_samples // PIECE)
        saturated = np.zeros((pieces, len(self.graph.neurons), 3), np.int64)
        z = np.zeros((0, 0, 0), np.uint16) if z is None else z
        v, a = (np.zeros((0, 0, 0), self.number) if trace is None else trace for trace in (v, a))
        fired = np.zeros((0, 0), np.int32) if fired is None else fired
        active = np.zeros((0, 0), np.int64) if active is None else active
        sums = np.zeros((0, 0), self.number) if sums is None else sums
        summed = np.unique(kept_sums // WORD)

        def work() -> Callable[[int], None]:
            state = self._state()

            def run(piece: int) -> None:
                found = kernel.Found(z, v, a, kept_v, kept_a, saturated[piece], fired, active, sums, kept_sums, summed, since)
                first, last = piece * PIECE, min((piece + 1) * PIECE, n_samples)
                kernel.simulate(first, last, n_steps, self.tables, train, state, found)

            return run

        share(work, pieces)
        counts = ((p.name, row) for p, row in zip(self.graph.neurons, saturated.sum(0)))
        return {f"{name}.{x}": int(count) for name, row in counts for x, count in zip("vua", row) if count}

    def _places(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        return {name: self.layout.place[name] + np.arange(self.graph.population(name).n) for name in names}

    def _state(self) -> kernel.State:
        """Working memory of one thread."""
        g, n, columns = self.tables, self.layout.n, self.tables.lines.columns
        v, u, a, drive, ring = (zeros((size,), g.dtype) for size in (n, n, n, n, columns))
        fired, blocked = (zeros((g.reach.shape[1],), np.uint16) for _ in range(2))
        fired_4 = fired.view(np.uint64)[: -(-n // kernel.QUAD)]
        return kernel.State(
            v,
            u,
            a,
            drive,
            ring,
            now=np.zeros(len(g.lines.width), np.int64),
            fired=fired,
            fired_4=fired_4,
            blocked=blocked,
            recent=zeros(g.reach.shape, np.uint16),
            source=np.zeros(g.n_in + n + WORD, np.int32),
            before=np.zeros(len(fired_4), np.int64),
            begin=np.zeros(len(g.marks), np.int64),
            touched=np.zeros(g.lines.words, np.uint16),
            arrived=np.zeros(g.members.shape[1] + WORD, np.uint16),
            counts=np.zeros(g.members.shape, np.uint16),
            sums=zeros((n,), self.number),
        )


def _joined(places: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([NOTHING, *places.values()])


def _split(trace: np.ndarray, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The traces of each population."""
    ends = np.cumsum([0, *(len(places) for places in kept.values())])
    return {name: np.ascontiguousarray(trace[..., first:last]) for name, first, last in zip(kept, ends, ends[1:])}
