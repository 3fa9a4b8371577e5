"""The graph as a value: equality, digest, counts against brute force, dense and sparse."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import GraphError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.graph.populations import decay_factor, parameters
from tests.strategies import graphs, random_graph

FEW = settings(max_examples=20, deadline=None)


def rebuilt(graph: Graph) -> Graph:
    """The same graph from fresh copies of every array."""
    populations = tuple(dataclasses.replace(p, **{k: a.copy() for k, a in parameters(p).items()}) for p in graph.populations)
    projections = tuple(dataclasses.replace(p, weights=p.weights.copy(), indptr=p.indptr.copy()) for p in graph.projections)
    return Graph(graph.dt, populations, projections, dict(graph.metadata))


@pytest.mark.parametrize("precision", ["float", "integer"])
@FEW
@given(data=st.data())
def test_equal_content_is_equal(precision: str, data: st.DataObject):
    graph = data.draw(graphs(precision=precision))
    assert rebuilt(graph) == graph
    assert hash(rebuilt(graph)) == hash(graph)
    assert graph != "graph"


def single_changes(graph: Graph):
    """Every graph that differs from `graph` in one number, name, form or order."""
    yield "dt", graph.replace(dt=graph.dt * (1 + 1e-15))
    yield "metadata value", graph.replace(metadata={"made_by": "others"})
    yield "metadata key", graph.replace(metadata={"made_By": "tests"})
    yield "metadata gone", graph.replace(metadata={})
    yield "order of populations", graph.replace(populations=graph.populations[::-1])
    yield "order of projections", graph.replace(projections=graph.projections[::-1])
    yield "projection gone", graph.replace(projections=graph.projections[1:])
    for i, p in enumerate(graph.populations):
        for form, other in (
            ("reset", {"subtract": "to_value", "to_value": "subtract"}),
            ("adaptation", {"threshold": "current", "current": "threshold"}),
        ):
            if form in p.FORMS:
                yield f"{p.name} {form}", swap(graph, i, dataclasses.replace(p, **{form: other[getattr(p, form)]}))
        for field, array in parameters(p).items():
            if graph.precision == "integer" and field in ("gain", "v_reset"):
                continue  # one value is allowed
            new = array.copy()
            new[-1] = new[-1] + 1 if array.dtype == np.int64 else np.nextafter(new[-1], 0 if new[-1] else 1)
            yield f"{p.name} {field}", swap(graph, i, dataclasses.replace(p, **{field: new}))
    for i, p in enumerate(graph.projections):
        yield f"{p.name} name", swap(graph, i, dataclasses.replace(p, name="renamed"), "projections")
        if graph.precision == "integer":
            yield f"{p.name} weight_exp", swap(graph, i, dataclasses.replace(p, weight_exp=p.weight_exp + 1), "projections")
        if p.signs is not None:
            yield (
                f"{p.name} signs gone",
                swap(
                    graph,
                    i,
                    dataclasses.replace(p, signs=None, weights=p.weights & ~1 if p.weights.dtype == np.int64 else p.weights),
                    "projections",
                ),
            )
        if p.n_synapses:
            yield f"{p.name} delay", swap(graph, i, dataclasses.replace(p, delays=p.delays + (np.arange(p.n_synapses) == 0)), "projections")
            weights = p.weights.copy()
            weights[0] = 0 if weights[0] else (0 if p.signs is None else p.signs[0]) or 2
            yield f"{p.name} weight", swap(graph, i, dataclasses.replace(p, weights=weights), "projections")


def swap(graph: Graph, i: int, item: object, field: str = "populations") -> Graph:
    items = list(getattr(graph, field))
    items[i] = item
    return graph.replace(**{field: tuple(items)})


@pytest.mark.parametrize(("precision", "seed"), [("float", 0), ("float", 1), ("integer", 2), ("integer", 3)])
def test_the_digest_changes_with_any_single_change(precision: str, seed: int):
    graph = random_graph(np.random.default_rng(seed), precision=precision)
    digests = {"nothing": graph.digest()}
    for what, changed in single_changes(graph):
        assert changed.digest() not in digests.values(), what
        assert changed != graph, what
        digests[what] = changed.digest()
    assert len(digests) > 25


def test_the_digest_keeps_neighbouring_names_apart():
    one, other = (Graph(1e-3, (Input("in", 1),), (), m) for m in ({"a": "b", "c": "d"}, {"a": "d", "c": "b"}))
    assert one.digest() != other.digest()


@pytest.mark.parametrize("precision", ["float", "integer"])
@FEW
@given(data=st.data())
def test_fan_in_and_out_by_counting_one_by_one(precision: str, data: st.DataObject):
    graph = data.draw(graphs(precision=precision))
    fan_in = {p.name: np.zeros(p.n, int) for p in graph.populations}
    fan_out = {p.name: np.zeros(p.n, int) for p in graph.populations}
    for p in graph.projections:
        dense = p.to_dense(graph.population(p.target).n)
        for i, j in np.ndindex(dense.shape):
            fan_out[p.source][i] += dense[i, j] != 0
            fan_in[p.target][j] += dense[i, j] != 0
    for p in graph.populations:
        np.testing.assert_array_equal(graph.fan_in(p.name), fan_in[p.name])
        np.testing.assert_array_equal(graph.fan_out(p.name), fan_out[p.name])
    assert graph.n_synapses == sum(counts.sum() for counts in fan_in.values())
    assert graph.n_neurons == sum(p.n for p in graph.populations if not isinstance(p, Input))


@FEW
@given(data=st.data())
def test_dense_to_sparse_and_back(data: st.DataObject):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    matrix = rng.integers(-4, 5, shape) * (rng.random(shape) < 0.5)
    delays = rng.integers(1, 9, shape)
    for dtype in (np.float64, np.int64):
        p = Projection.from_dense("a", "b", matrix.astype(dtype), delays=delays, signs=np.sign(matrix))
        assert p.weights.dtype == dtype
        np.testing.assert_array_equal(p.to_dense(shape[1]), matrix)
        np.testing.assert_array_equal(p.delays, delays[matrix != 0])
        np.testing.assert_array_equal(p.signs, np.sign(matrix[matrix != 0]))
        assert p.n_synapses == np.count_nonzero(matrix)
        assert (p.n_source, p.name) == (shape[0], "a->b")


def test_from_dense_refuses_what_is_no_matrix():
    with pytest.raises(GraphError, match=r"Projection a->b: weights have shape \(3,\); give a matrix \[n_source, n_target\]"):
        Projection.from_dense("a", "b", np.ones(3))


def test_parts_by_name_and_kind():
    graph = random_graph(np.random.default_rng(4))
    assert graph.population("out") is graph.readouts[0]
    assert graph.inputs == (graph.population("in"),)
    assert graph.projection("in->hidden0").target == "hidden0"
    assert [p.name for p in graph.incoming("hidden0")] == [p.name for p in graph.projections if p.target == "hidden0"]
    with pytest.raises(GraphError, match="no population 'x'; there are in, hidden0"):
        graph.population("x")
    with pytest.raises(GraphError, match="no projection 'x'; there are"):
        graph.projection("x")


def test_arrays_of_a_graph_cannot_be_written():
    graph = random_graph(np.random.default_rng(4))
    for array in (*parameters(graph.population("out")).values(), graph.projections[0].weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_time_constants_become_decays():
    """exp(-1/20) = 0.951229..., Euler 1 - 1/20 = 0.95; kappa = beta (1 - decay_a); gain = 1 - decay_v."""
    p = ALIF.from_time_constants("p", 2, dt=1e-3, tau_m=20e-3, v_th=0.01, tau_a=0.7, beta=1.8, tau_s=5e-3)
    np.testing.assert_allclose(p.decay_v, 0.951229424500714, rtol=1e-15)
    np.testing.assert_allclose(p.decay_u, 0.818730753077982, rtol=1e-15)
    np.testing.assert_allclose(p.decay_a, 0.998572448, rtol=1e-9)
    np.testing.assert_allclose(p.kappa, 1.8 * (1 - 0.998572448), rtol=1e-6)
    np.testing.assert_allclose(p.gain, 1 - 0.951229424500714, rtol=1e-13)
    euler = LIF.from_time_constants("p", 1, dt=1e-3, tau_m=20e-3, v_th=1.0, discretisation="euler")
    assert euler.decay_v == pytest.approx(0.95, rel=1e-15)
    assert decay_factor([0.0, 1e-4], 1e-3, "euler").tolist() == [0.0, 0.0]
    assert LI.from_time_constants("y", 1, dt=1e-3, tau_m=0.0).decay_v == 0
