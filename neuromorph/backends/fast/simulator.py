"""A graph laid out for the kernel, and its runs on batches of samples."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.fast import kernel
from neuromorph.backends.fast.events import spikes_of, train_of
from neuromorph.backends.fast.layout import WORD, Layout
from neuromorph.backends.fast.rules import NAMES, Learned, Plastic, Synapses, Third, places, rules, synapses, third
from neuromorph.backends.fast.rules import saturations as saturations_of
from neuromorph.backends.fast.states import state
from neuromorph.backends.fast.summary import Summary
from neuromorph.backends.fast.tables import tables
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF
from neuromorph.recording import Recording
from neuromorph.simd.share import share
from neuromorph.spikes import Spikes

PIECE = 32
"""Samples that a thread takes at a time; one where synapses are plastic, which is work enough."""
NOTHING = np.zeros(0, np.int64)

Signals: TypeAlias = Mapping[str, np.ndarray]
"""Third factors by name, as `base.prepare` gives them."""
Traces: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
"""`H`, `E` and `kept` of `rules.Learned`."""


class Simulator:
    """`graph` ready to run; `name`: of the backend."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name
        self.layout = Layout.of(graph)
        self.tables = tables(graph, self.layout)
        self.number = np.dtype(np.float64 if self.tables.dtype == np.float64 else np.int64)
        self.rules = rules(graph, self.layout, self.tables.lines, self.tables.dtype) if graph.plastic else None
        self.synapses = {} if self.rules is None else places(graph, self.rules.first, self.rules.target)

    def record(self, inputs: Mapping[str, Spikes], kept: Kept, signals: Signals, first: int) -> Recording:
        """Everything that all samples of `inputs`, by Input population, do, as far as it is to be `kept`. `first`: number of the first."""
        graph, (n_steps, n_samples) = self.graph, next(iter(inputs.values())).shape[:2]
        v = self._places(dict.fromkeys([*(p.name for p in graph.readouts), *kept.states]))
        a = self._places([name for name in kept.states if isinstance(graph.population(name), ALIF)])
        z = np.zeros((n_samples, n_steps, self.layout.n // WORD), np.uint16)
        changing = {name: self.synapses[name] for name in kept.plastic}
        each = (v, a, changing, changing)
        traces = [np.empty((n_steps, n_samples, len(_joined(places))), self.number) for places in each]
        asked = {"v": traces[0], "a": traces[1], "kept_v": _joined(v), "kept_a": _joined(a), "learned": (*traces[2:], _joined(changing))}
        run = self._run(inputs, self._third(signals, first), z=z, **asked)
        states = dict(zip("vaHE", (_split(trace, places) for trace, places in zip(traces, each))))
        return Recording(
            backend=self.name,
            precision=graph.precision,
            graph_digest=graph.digest(),
            dt=graph.dt,
            n_samples=n_samples,
            n_steps=n_steps,
            spikes={name: spikes_of(z, self.layout.place[name], graph.population(name).n, graph.dt) for name in kept.spikes},
            readouts={p.name: states["v"][p.name] for p in graph.readouts},
            states={name: {x: of[name] for x, of in states.items() if name in of} for name in (*kept.states, *kept.plastic)},
            saturations=run,
        )

    def summarise(self, inputs: Mapping[str, Spikes], window: int, signals: Signals, first: int) -> Summary:
        """Counts and mean readouts of all samples of `inputs`. `first`: number of the first."""
        graph, (n_steps, n_samples) = self.graph, next(iter(inputs.values())).shape[:2]
        places = self._places(p.name for p in graph.readouts)
        fired = np.zeros((n_samples, self.tables.n_in + self.layout.n), np.int32)
        active = np.zeros((n_samples, len(graph.neurons)), np.int64)
        sums = np.zeros((n_samples, len(_joined(places))), self.number)
        kept = {"fired": fired, "active": active, "sums": sums, "kept_sums": _joined(places), "since": n_steps - window}
        saturations = self._run(inputs, self._third(signals, first), **kept)
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
        third: Third | None,
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
        learned: Traces | None = None,
    ) -> dict[str, int]:
        """Fill what is given (see `kernel.Found`, and `rules.Learned` for `learned`); gives the saturations."""
        train, (n_steps, n_samples) = train_of([inputs[p.name] for p in self.graph.inputs]), next(iter(inputs.values())).shape[:2]
        size = 1 if self.graph.plastic else PIECE
        pieces = -(-n_samples // size)
        saturated = np.zeros((pieces, len(self.graph.neurons), 3), np.int64)
        clipped = np.zeros((pieces, len(self.graph.plastic), len(NAMES)), np.int64)
        z = np.zeros((0, 0, 0), np.uint16) if z is None else z
        v, a = (np.zeros((0, 0, 0), self.number) if trace is None else trace for trace in (v, a))
        fired = np.zeros((0, 0), np.int32) if fired is None else fired
        active = np.zeros((0, 0), np.int64) if active is None else active
        sums = np.zeros((0, 0), self.number) if sums is None else sums
        summed = np.unique(kept_sums // WORD)

        def work() -> Callable[[int], None]:
            memory, own = state(self.tables, self.number), synapses(self.rules) if self.rules else None

            def run(piece: int) -> None:
                found = kernel.Found(z, v, a, kept_v, kept_a, saturated[piece], fired, active, sums, kept_sums, summed, since)
                plastic = self._plastic(third, own, learned, clipped[piece])
                kernel.simulate(piece * size, min((piece + 1) * size, n_samples), n_steps, self.tables, train, memory, found, plastic)

            return run

        share(work, pieces)
        counts = ((p.name, row) for p, row in zip(self.graph.neurons, saturated.sum(0)))
        found = {f"{name}.{x}": int(count) for name, row in counts for x, count in zip("vua", row) if count}
        return found | saturations_of(self.graph, clipped.sum(0))

    def _third(self, signals: Signals, first: int) -> Third | None:
        return third(self.graph, self.layout, signals, sample=first) if self.rules else None

    def _plastic(self, third: Third | None, own: Synapses | None, learned: Traces | None, clipped: np.ndarray) -> Plastic | None:
        """What the kernel is given of plastic synapses, if the graph has some."""
        if self.rules is None or third is None or own is None:
            return None
        nothing = np.zeros((0, 0, 0), self.number)
        return Plastic(self.rules, third, own, Learned(*(learned or (nothing, nothing, NOTHING)), clipped))

    def _places(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        return {name: self.layout.place[name] + np.arange(self.graph.population(name).n) for name in names}


def _joined(places: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([NOTHING, *places.values()])


def _split(trace: np.ndarray, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The traces of each population."""
    ends = np.cumsum([0, *(len(places) for places in kept.values())])
    return {name: np.ascontiguousarray(trace[..., first:last]) for name, first, last in zip(kept, ends, ends[1:])}
