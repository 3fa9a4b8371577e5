"""Step by step: samples side by side, each with a state of its own that stays between calls."""

from collections.abc import Mapping
from inspect import unwrap
from typing import Any, TypeVar

import numpy as np
from numba import types
from numba.extending import overload

from neuromorph.backends.base import Step
from neuromorph.backends.fast.kernel import State, advance, list_events, send
from neuromorph.backends.fast.layout import WORD
from neuromorph.backends.fast.learning import deliver, learn
from neuromorph.backends.fast.rules import NAMES, Learned, Plastic, Synapses, Third, synapses, third
from neuromorph.backends.fast.simulator import Simulator
from neuromorph.backends.fast.states import state
from neuromorph.backends.plastic import match_step
from neuromorph.errors import GraphError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF
from neuromorph.simd.buffers import zeros
from neuromorph.simd.lanes import INLINED, at, compiled, put

Rows = TypeVar("Rows", bound=State | Synapses)
KEPT = ("v", "u", "a", "ring", "now", "fired", "recent", "source", "begin")
LEARNT = ("pre", "post", "H", "E")
"""Fields of `State` and `Synapses` that every sample has for itself; the others are written anew in every step."""


@compiled
def one_step(t, past, g, inputs, batch, plastic, saturated, fired):
    """Step t of all samples. `inputs` [samples, sources]: which fire; `fired` [samples, places]: which neurons do, to be written."""
    for b in range(len(inputs)):
        s, x = _sample(batch, b), _synapses(plastic, b)
        advance(past, g, s, saturated)
        for i in range(fired.shape[1]):
            fired[b, i] = (at(s.fired, i // WORD) >> np.uint16(i % WORD)) & 1
        learn(x, t, b, g.lines, s)
        n = 0
        for i in range(g.n_in):
            put(s.source, n, np.int32(i))
            n += inputs[b, i]
        list_events(n, g, s)
        for line in range(len(g.lines.width)):
            send(line, False, g.lines, s)
        deliver(x, g.lines, s)


@compiled
def _sample(x, b):
    """The state of sample b."""
    return State(
        x.v[b],
        x.u[b],
        x.a[b],
        x.drive,
        x.ring[b],
        x.now[b],
        x.fired[b],
        x.fired_4[b],
        x.blocked,
        x.recent[b],
        x.source[b],
        x.before,
        x.begin[b],
        x.touched,
        x.arrived,
        x.counts,
        x.sums,
    )


def _synapses(x: Any, b: Any) -> Any:
    """The plastic synapses of sample b, if there are any."""


@overload(_synapses, jit_options=INLINED)
def _synapses_of(x, b):
    def fixed(x, b):
        return None

    def plastic(x, b):
        s = x.synapses
        return Plastic(x.rules, x.third, Synapses(s.pre[b], s.post[b], s.H[b], s.E[b], s.q, s.m), x.learned)

    return unwrap(fixed if isinstance(x, types.NoneType) else plastic)


class FastSteps:
    """See `backends.base.StepSession`."""

    def __init__(self, graph: Graph, n_samples: int, name: str) -> None:
        self.graph, self.n_samples, self.simulator = graph, n_samples, Simulator(graph, name)
        self.firing = {p.name: self._columns(p.name) for p in graph.neurons if isinstance(p, LIF)}
        self.readouts = {p.name: self._columns(p.name) for p in graph.readouts}
        self.signals, self.thirds = tuple(graph.third_factors), dict[tuple[int, ...], Third]()
        self.saturated = np.zeros((len(graph.neurons), 3), np.int64)
        self.reset()

    def reset(self) -> None:
        whole, number = self.simulator, self.simulator.number
        self.t, self.state = 0, _batch(state(whole.tables, number), self.n_samples)
        self.synapses = _rows(synapses(whole.rules), LEARNT, self.n_samples) if whole.rules else None
        nothing = np.zeros((0, 0, 0), number)
        self.learned = Learned(nothing, nothing, np.zeros(0, np.int64), np.zeros((len(self.graph.plastic), len(NAMES)), np.int64))

    def step(self, inputs: Mapping[str, np.ndarray], third_factors: Mapping[str, np.ndarray] | None = None) -> Step:
        given, signals = match_step(self.graph, self.n_samples, inputs, third_factors or {})
        g, number = self.simulator.tables, self.simulator.number
        dense = np.concatenate([np.zeros((self.n_samples, 0), np.bool_), *(given[p.name] for p in self.graph.inputs)], axis=1)
        dense = np.ascontiguousarray(dense)  # other layouts would be other types, for which all is compiled again
        fired = np.empty((self.n_samples, self.simulator.layout.n), np.bool_)
        one_step(self.t, self.t % max(len(g.reach), 1), g, dense, self.state, self._plastic(signals), self.saturated, fired)
        self.t += 1
        spikes = {name: fired[:, columns] for name, columns in self.firing.items()}
        return Step(spikes, {name: self.state.v[:, columns].astype(number) for name, columns in self.readouts.items()})

    def plastic(self, name: str) -> dict[str, np.ndarray]:
        if name not in self.simulator.synapses or self.synapses is None:
            raise GraphError(f"Step session: {name!r} is no plastic projection; there are {', '.join(q.name for q in self.graph.plastic)}.")
        places = self.simulator.synapses[name]
        return {x: getattr(self.synapses, x)[:, places].astype(self.simulator.number) for x in ("H", "E")}

    def __enter__(self) -> "FastSteps":
        return self

    def __exit__(self, *error: object) -> None: ...

    def _columns(self, name: str) -> slice:
        first = self.simulator.layout.place[name]
        return slice(first, first + self.graph.population(name).n)

    def _plastic(self, signals: Mapping[str, np.ndarray]) -> Plastic | None:
        """What the kernel is given of plastic synapses, if the graph has some; where it finds a signal depends on the widths of all."""
        if self.simulator.rules is None or self.synapses is None:
            return None
        given = [signals[name] for name in self.signals]
        widths = tuple(signal.shape[1] for signal in given)
        if widths not in self.thirds:
            self.thirds[widths] = third(self.graph, self.simulator.layout, {name: signals[name][None] for name in self.signals})
        known = self.thirds[widths]
        values = np.ascontiguousarray(np.concatenate(given, axis=1))[None] if given else known.values
        return Plastic(self.simulator.rules, known._replace(values=values, step=self.t), self.synapses, self.learned)


def _batch(one: State, n: int) -> State:
    """The same for n samples."""
    found = _rows(one, KEPT, n)
    fired_4 = found.fired.view(np.uint64)
    return found._replace(fired_4=fired_4, before=np.zeros(fired_4.shape[1], np.int64))


def _rows(one: Rows, names: tuple[str, ...], n: int) -> Rows:
    """The same with n rows of zeros in the fields of these names."""
    rows = {name: zeros((n, *getattr(one, name).shape), getattr(one, name).dtype) for name in names}
    return one._replace(**rows)
