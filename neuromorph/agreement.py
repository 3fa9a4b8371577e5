"""Any set of simulators and precisions on one network and its data: who agrees with whom, spike for spike, and where not."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from neuromorph.backends.base import HasSessions, Inputs, Progress, backend, batches, match_inputs
from neuromorph.backends.plastic import ThirdFactors, match_third_factors
from neuromorph.compare import Comparison, Tally
from neuromorph.differences import Difference
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.quantize_plastic import quantize_third_factors
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

CELLS = 2**23
"""Neuron-steps of a batch: about 100 MB of traces a simulator."""

Run: TypeAlias = Callable[[Mapping[str, Spikes]], Recording]
"""From inputs by population name to a recording."""


@dataclass(frozen=True, eq=False)
class Excerpt:
    """The sample of a pair's first difference, as both recorded it, alone."""

    graph: Graph
    first: Difference
    recording: Recording
    against: Recording


@dataclass(frozen=True, eq=False)
class Validation:
    """`comparisons`: one a pair. `excerpts`: of the pairs of one precision that differ."""

    comparisons: tuple[Comparison, ...]
    excerpts: tuple[Excerpt, ...] = field(default=(), repr=False)

    @property
    def agrees(self) -> bool:
        """Whether all simulators of one precision agree (see `Comparison`)."""
        return all(c.agrees for c in self.comparisons if c.must_agree)

    def to_dict(self) -> dict[str, Any]:
        return {"agrees": self.agrees, "comparisons": [c.to_dict() for c in self.comparisons]}

    def __str__(self) -> str:
        return "\n".join(map(str, self.comparisons))


def validate(
    graphs: Graph | Sequence[Graph],
    inputs: Inputs,
    backends: str | Sequence[str] = ("reference", "fast", "brian2", "lava"),
    *,
    others: Mapping[str, Run] | None = None,
    window: int | None = None,
    progress: Progress | None = None,
    third_factors: ThirdFactors | None = None,
) -> Validation:
    """Run a network on every backend named, all states recorded, H and E of plastic projections too, and compare each with each.

    `graphs`: the network, or it in several precisions (populations of the same names). A single backend is held against `reference`.
    `others`: simulators of the first graph that are no backends, by name (the PyTorch network it came from). Pairs of one precision must
    agree; of the pairs across precisions that of the first backend is told. `window`: steps at the end over which readouts decide.
    `third_factors`: of a plastic network, in the units of its first graph; graphs of integers made of floats get them scaled.
    `progress` counts samples of all simulators. Samples are run in batches, so that traces of whole data sets fit into memory.

    Raises:
        BackendError: a backend is missing or cannot run a graph.
        GraphError: inputs do not fit, or there is nothing to compare.
    """
    every = (graphs,) if isinstance(graphs, Graph) else tuple(graphs)
    names = tuple(dict.fromkeys(("reference", backends) if isinstance(backends, str) else backends))
    by_name = match_inputs(every[0], inputs)
    n_steps, n_samples, _ = next(iter(by_name.values())).shape
    third = match_third_factors(every[0], third_factors or {}, n_steps, n_samples)
    with ExitStack() as stack:
        simulators = [_Simulator(graph, stack.enter_context(_opened(name, graph))) for graph in every for name in names]
        simulators += [_Simulator(every[0], lambda part, _, run=run: run(part)) for run in (others or {}).values()]
        pairs = [_Pair(a, b) for a, b in combinations(simulators, 2) if _to_compare(a, b, simulators)]
        if not pairs:
            raise GraphError("Validate: one simulator given; name two or more, or give the network in two precisions.")
        _run(simulators, pairs, by_name, third, window, progress)
    return Validation(tuple(p.comparison() for p in pairs), tuple(p.excerpt for p in pairs if p.excerpt))


@dataclass(frozen=True, eq=False)
class _Simulator:
    graph: Graph
    run: Callable[[Mapping[str, Spikes], ThirdFactors], Recording]

    def third_factors(self, given: Mapping[str, np.ndarray], of: Graph) -> dict[str, np.ndarray]:
        """Signals in the units of this graph, that are `given` in those of another."""
        if not self.graph.third_factors:
            return {}
        scaled = self.graph.precision == "integer" and of.precision == "float"
        return quantize_third_factors(self.graph, given) if scaled else dict(given)


@dataclass(eq=False)
class _Pair:
    """Two simulators and what is known of their agreement."""

    against: _Simulator
    simulator: _Simulator
    tally: Tally | None = None
    excerpt: Excerpt | None = None

    def add(self, recordings: Mapping[_Simulator, Recording], window: int | None) -> None:
        x, y = recordings[self.simulator], recordings[self.against]
        self.tally = self.tally or Tally(x, y, window)
        before = self.tally.samples
        differences = self.tally.add(self.against.graph, x, y)
        new = min(differences, key=_place, default=None)
        if new and x.precision == y.precision and (self.excerpt is None or _place(new) < _place(self.excerpt.first)):
            sample = [new.sample - before]
            self.excerpt = Excerpt(self.against.graph, new, x.select(sample), y.select(sample))

    def comparison(self) -> Comparison:
        assert self.tally is not None
        return self.tally.comparison()


def _place(d: Difference) -> tuple[int, int]:
    return d.step, d.sample


def _to_compare(a: _Simulator, b: _Simulator, everyone: Sequence[_Simulator]) -> bool:
    """Each with each of its graph, and the first of each graph with the first of every other."""
    leaders = [next(s for s in everyone if s.graph is graph) for graph in (a.graph, b.graph)]
    return a.graph is b.graph or leaders == [a, b]


def _run(
    simulators: Sequence[_Simulator],
    pairs: Sequence[_Pair],
    inputs: Mapping[str, Spikes],
    third: Mapping[str, np.ndarray],
    window: int | None,
    progress: Progress | None,
) -> None:
    """All samples in batches."""
    n_steps, n_samples, _ = next(iter(inputs.values())).shape
    first = simulators[0].graph
    traced = first.n_neurons + sum(2 * q.n_synapses for q in first.plastic)
    size = max(1, CELLS // (n_steps * max(traced, 1)))
    done = 0
    for number, part in enumerate(batches(inputs, size)):
        recordings: dict[_Simulator, Recording] = {}
        own = {name: signal[:, number * size : (number + 1) * size] for name, signal in third.items()}
        for simulator in simulators:
            recordings[simulator] = simulator.run(part, simulator.third_factors(own, first))
            done += recordings[simulator].n_samples
            if progress:
                progress(done, n_samples * len(simulators))
        for pair in pairs:
            pair.add(recordings, window)


@contextmanager
def _opened(name: str, graph: Graph) -> Generator[Callable[[Mapping[str, Spikes], ThirdFactors], Recording]]:
    """A backend that records all states of a graph; it stays up from batch to batch where it can."""
    simulator, states = backend(name), [p.name for p in (*graph.neurons, *graph.plastic)]
    if isinstance(simulator, HasSessions):
        with simulator.session(graph, states=states) as session:
            yield lambda inputs, third: session.run(inputs, third_factors=third)
    else:
        yield lambda inputs, third: simulator.run(graph, inputs, states=states, third_factors=third)
