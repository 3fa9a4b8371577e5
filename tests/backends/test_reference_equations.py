"""The reference against a scalar simulator written from the equations alone, and invariants of any simulation."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.graph import ALIF, LIF, Graph, Input
from neuromorph.graph.populations import parameters
from neuromorph.spikes import Spikes
from tests.strategies import graphs, inputs


class Scalar:
    """Lines 1 to 6, one neuron and one number at a time, whole histories kept; one sample."""

    def __init__(self, graph: Graph, fired: np.ndarray) -> None:
        self.graph, self.steps = graph, len(fired)
        self.whole = graph.precision == "integer"
        self.z = {p.name: [[0] * p.n for _ in range(self.steps)] for p in graph.populations}
        self.z[graph.inputs[0].name] = fired.astype(int).tolist()
        self.history = {
            p.name: {x: [[0] * p.n for _ in range(self.steps + 1)] for x in ("u", "v", "a", "theta")} for p in graph.populations
        }
        self.saturations: dict[str, int] = {}
        for t in range(self.steps):
            for p in graph.populations:
                for j in range(p.n) if not isinstance(p, Input) else ():
                    (self.integer if self.whole else self.real)(p, t, j)

    def current(self, p: Any, t: int, j: int) -> list:
        """What arrives at neuron j over each projection."""
        arrived = []
        for q in self.graph.projections:
            if q.target != p.name:
                continue
            total = 0 if self.whole else 0.0
            for i in range(q.n_source):
                for k in range(q.indptr[i], q.indptr[i + 1]):
                    before = t - int(q.delays[k])
                    if q.indices[k] == j and before >= 0 and self.z[q.source][before][i]:
                        total += q.weights[k].item()
            arrived.append(math.floor(total * 2.0**q.weight_exp) if self.whole else total)
        return arrived

    def before(self, p: Any, t: int, j: int) -> tuple:
        """u, v, a, theta, z of the step before (zero before the first)."""
        history = self.history[p.name]
        return (*(history[x][t][j] for x in ("u", "v", "a", "theta")), self.z[p.name][t - 1][j] if t else 0)

    def real(self, p: Any, t: int, j: int) -> None:
        c = {name: array[j].item() for name, array in parameters(p).items()}
        u, v, a, theta, z = self.before(p, t, j)
        u = c["decay_u"] * u + sum(self.current(p, t, j))
        h = 0.0
        if isinstance(p, ALIF):
            a = c["decay_a"] * a + c["kappa"] * z
            h = a if p.adaptation == "current" else 0.0
        if isinstance(p, LIF) and p.reset == "to_value":
            v = c["decay_v"] * (c["v_reset"] if z else v) + c["gain"] * u + c["bias"] - h
        else:
            v = c["decay_v"] * v + c["gain"] * u + c["bias"] - h - z * theta
        self.keep(p, t, j, c, u, v, a, c.get("v_th", 0.0) + (a if h == 0.0 else 0.0))

    def integer(self, p: Any, t: int, j: int) -> None:
        c = {name: array[j].item() for name, array in parameters(p).items()}
        u, v, a, theta, z = self.before(p, t, j)
        u = dec(u, 4096 - c["decay_u"]) + sum(self.current(p, t, j)) * 64
        if u > 2**23 or u <= -(2**23):
            u += 2**24 if u < 0 else -(2**24)
            self.count(p, "u")
        h = 0
        if isinstance(p, ALIF):
            a = self.clip(p, "a", dec(a, 4096 - c["decay_a"]) + z * c["kappa"])
            h = a if p.adaptation == "current" else 0
        if isinstance(p, LIF) and p.reset == "to_value":
            v, theta = (0 if z else v), 0
        v = self.clip(p, "v", dec(v, 4096 - c["decay_v"]) + u + c["bias"] - h - z * theta)
        self.keep(p, t, j, c, u, v, a, c.get("v_th", 0) * 64 + (a if isinstance(p, ALIF) and p.adaptation == "threshold" else 0))

    def keep(self, p: Any, t: int, j: int, c: dict, u: Any, v: Any, a: Any, theta: Any) -> None:
        for x, value in (("u", u), ("v", v), ("a", a), ("theta", theta)):
            self.history[p.name][x][t + 1][j] = value
        if isinstance(p, LIF):
            recent = any(self.z[p.name][s][j] for s in range(max(0, t - c["n_ref"]), t))
            self.z[p.name][t][j] = int(v > theta and not recent)

    def clip(self, p: Any, variable: str, x: int) -> int:
        if abs(x) > 2**23 - 1:
            self.count(p, variable)
        return max(-(2**23) + 1, min(2**23 - 1, x))

    def count(self, p: Any, variable: str) -> None:
        self.saturations[f"{p.name}.{variable}"] = self.saturations.get(f"{p.name}.{variable}", 0) + 1


def dec(x: int, k: int) -> int:
    return (1 if x >= 0 else -1) * ((abs(x) * (4096 - k)) >> 12)


def neurons(graph: Graph) -> list[str]:
    return [p.name for p in graph.populations if not isinstance(p, Input)]


def assert_as_scalar(graph: Graph, spikes: Spikes) -> int:
    """Bit for bit: spikes, v, a, readouts, saturations. Returns how many spikes there were."""
    recording = ReferenceBackend().run(graph, spikes, states=neurons(graph))
    dense = spikes.to_dense()
    saturations: dict[str, int] = {}
    for sample in range(spikes.n_samples):
        oracle = Scalar(graph, dense[:, sample])
        for name in neurons(graph):
            for x, values in recording.states[name].items():
                np.testing.assert_array_equal(values[:, sample], oracle.history[name][x][1:], err_msg=f"{name}.{x}")
        for name, found in recording.spikes.items():
            np.testing.assert_array_equal(found.to_dense()[:, sample], oracle.z[name], err_msg=name)
        for name, count in oracle.saturations.items():
            saturations[name] = saturations.get(name, 0) + count
    for name, y in recording.readouts.items():
        np.testing.assert_array_equal(y, recording.states[name]["v"])
    assert recording.saturations == saturations
    return sum(len(s) for s in recording.spikes.values())


EXAMPLES = settings(max_examples=15, deadline=None)


@pytest.mark.parametrize("precision", ["float", "integer"])
@EXAMPLES
@given(data=st.data())
def test_the_reference_is_the_equations(precision: str, data: st.DataObject):
    graph = data.draw(graphs(precision=precision, max_neurons=5))
    assert_as_scalar(graph, data.draw(inputs(graph, 2, 25)))


@EXAMPLES
@given(data=st.data())
def test_also_where_everything_saturates(data: st.DataObject):
    graph = data.draw(graphs(precision="integer", max_neurons=4))
    louder = graph.replace(projections=tuple(dataclasses.replace(p, weight_exp=p.weight_exp + 10) for p in graph.projections))
    assert_as_scalar(louder, data.draw(inputs(graph, 2, 25)))


@pytest.mark.parametrize("precision", ["float", "integer"])
@EXAMPLES
@given(data=st.data())
def test_samples_know_nothing_of_each_other(precision: str, data: st.DataObject):
    graph = data.draw(graphs(precision=precision))
    spikes = data.draw(inputs(graph, 4, 30))
    together = ReferenceBackend().run(graph, spikes, states=neurons(graph))
    order = data.draw(st.permutations(range(4)))
    shuffled = ReferenceBackend().run(graph, spikes.select(order), states=neurons(graph))
    alone = ReferenceBackend().run(graph, spikes.select(order[:1]), states=neurons(graph))
    for name in neurons(graph):
        np.testing.assert_array_equal(shuffled.states[name]["v"], together.states[name]["v"][:, order])
        np.testing.assert_array_equal(alone.states[name]["v"], together.states[name]["v"][:, order[:1]])
    for name in together.spikes:
        assert shuffled.spikes[name] == together.spikes[name].select(order)
        assert alone.spikes[name] == together.spikes[name].select(order[:1])


def permuted(graph: Graph, orders: Mapping[str, np.ndarray]) -> Graph:
    """Neuron i of the new graph is neuron `orders[population][i]` of the old."""
    populations = tuple(dataclasses.replace(p, **{k: a[orders[p.name]] for k, a in parameters(p).items()}) for p in graph.populations)
    projections = []
    for p in graph.projections:
        rows, columns = np.argsort(orders[p.source])[p.rows], np.argsort(orders[p.target])[p.indices]
        order = np.lexsort((columns, rows))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=p.n_source))]).astype(np.int64)
        signs = None if p.signs is None else p.signs[order]
        arrays = {"indptr": indptr, "indices": columns[order], "weights": p.weights[order], "delays": p.delays[order], "signs": signs}
        projections.append(dataclasses.replace(p, **arrays))
    return graph.replace(populations=populations, projections=tuple(projections))


@pytest.mark.parametrize("precision", ["float", "integer"])
@EXAMPLES
@given(data=st.data())
def test_permuting_neurons_permutes_the_recording(precision: str, data: st.DataObject):
    graph = data.draw(graphs(precision=precision))
    spikes = data.draw(inputs(graph, 2, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    orders = {p.name: rng.permutation(p.n) for p in graph.populations}
    plain = ReferenceBackend().run(graph, spikes, states=neurons(graph))
    moved_input = Spikes.from_dense(spikes.to_dense()[:, :, orders["in"]], graph.dt)
    moved = ReferenceBackend().run(permuted(graph, orders), moved_input, states=neurons(graph))
    for name in neurons(graph):
        np.testing.assert_array_equal(moved.states[name]["v"], plain.states[name]["v"][:, :, orders[name]])
    for name in plain.spikes:
        np.testing.assert_array_equal(moved.spikes[name].to_dense(), plain.spikes[name].to_dense()[:, :, orders[name]])
