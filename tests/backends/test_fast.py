"""`fast` equals `reference` in every bit: spikes, readouts, states, saturations, in floats also where sums round."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.fast import FastBackend, backend
from neuromorph.backends.fast.arithmetic import decayed
from neuromorph.backends.fast.simulator import Simulator
from neuromorph.backends.fast.summary import Summary
from neuromorph.backends.fast.tables import lane_type
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count, of_summary
from neuromorph.errors import GraphError
from neuromorph.graph import LIF, Graph, Input, Projection
from neuromorph.recording import Recording
from neuromorph.simd import share as sharing
from neuromorph.simd.buffers import zeros
from neuromorph.simd.lanes import compiled, load_half, store_half
from neuromorph.spikes import Spikes
from tests.strategies import graphs, inputs, random_graph, random_inputs


def equal(found: Recording, wanted: Recording) -> None:
    """All that two runs recorded is the same."""
    assert dict(found.spikes) == dict(wanted.spikes)
    assert dict(found.saturations) == dict(wanted.saturations)
    assert found.states.keys() == wanted.states.keys()
    for name, trace in wanted.readouts.items():
        assert np.array_equal(found.readouts[name], trace)
        assert found.readouts[name].dtype == trace.dtype
    for name, traces in wanted.states.items():
        assert found.states[name].keys() == traces.keys()
        for x, trace in traces.items():
            assert np.array_equal(found.states[name][x], trace)


def check(graph: Graph, x: Spikes | dict[str, Spikes]) -> Recording:
    """Hold a run, and a run that only counts, against the reference; gives the reference's."""
    names = [p.name for p in graph.neurons]
    wanted = ReferenceBackend().run(graph, x, states=names)
    equal(FastBackend().run(graph, x, states=names), wanted)
    counted(FastBackend().summarise(graph, x, window=10), graph, x, wanted)
    return wanted


def counted(summary: Summary, graph: Graph, x: Spikes | dict[str, Spikes], wanted: Recording) -> None:
    """The summary's counts are those of the recording, its readouts the recording's means."""
    found, expected = of_summary(graph, summary), count(graph, x, wanted)
    for kind in ("spikes", "messages", "synops", "updates", "active_updates"):
        assert {k: v.tolist() for k, v in getattr(found, kind).items()} == {k: v.tolist() for k, v in getattr(expected, kind).items()}
    assert found.to_dict() == expected.to_dict()
    assert dict(summary.saturations) == dict(wanted.saturations)
    assert summary.readouts.keys() == wanted.readouts.keys()
    for name, trace in wanted.readouts.items():
        assert np.allclose(
            summary.readouts[name], trace[-summary.window :].mean(0), rtol=1e-12, atol=0 if trace.dtype == np.int64 else 1e-15
        )


def rough(rng: np.random.Generator, graph: Graph) -> Graph:
    """The float graph with weights of 53 bits, whose sums depend on their order."""
    return graph.replace(
        projections=tuple(dataclasses.replace(q, weights=q.weights * rng.uniform(0.9, 1.1, q.n_synapses)) for q in graph.projections)
    )


@settings(max_examples=20, deadline=None)
@given(data=st.data(), precision=st.sampled_from(["float", "integer"]))
def test_random_graphs(data: st.DataObject, precision: str) -> None:
    graph = data.draw(graphs(max_neurons=20, precision=precision))
    check(graph, data.draw(inputs(graph, n_samples=3, n_steps=40)))


@pytest.mark.parametrize("precision", ["float", "integer"])
@pytest.mark.parametrize("delays", [(1, 1), (1, 7)])
def test_larger_than_a_word(precision: str, delays: tuple[int, int]) -> None:
    """Populations of more neurons than fit a word, more samples than a thread takes at a time; with rows of weights or lists of them, with
    rows of flags or single ones.
    """
    rng = np.random.default_rng(5)
    graph = random_graph(rng, precision=precision, max_neurons=90, delays=delays)
    if precision == "float":
        graph = rough(rng, graph)
    lines, alike = Simulator(graph, "fast").tables.lines, delays == (1, 1)
    assert (lines.row >= 0).any() == alike
    assert (lines.reach >= 0).any()
    assert (lines.reach >= 0).all() == alike
    assert len(check(graph, random_inputs(rng, graph, 35, 30)).spikes["hidden0"]) > 1000


@pytest.mark.parametrize("seed", range(4))
def test_sums_in_the_reference_s_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = rough(rng, random_graph(rng, max_neurons=25, delays=(1, 4)))
    check(graph, random_inputs(rng, graph, 4, 60))


@compiled
def decay_all(x, factor, out):
    for i in range(len(x) // 16):
        store_half(out, i, decayed(load_half(x, i), load_half(factor, i)))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_decays_round_toward_zero(dtype: type) -> None:
    """Over all factors and the range of states, its ends and the numbers next to them too."""
    rng = np.random.default_rng(0)
    ends = np.add.outer([-(2**26), -(2**24), -(2**23), 0, 2**23, 2**24, 2**26], np.arange(-2, 3)).reshape(-1)
    x, factor, out = (zeros((2**18,), dtype) for _ in range(3))
    x[:] = np.where(rng.random(len(x)) < 0.5, rng.choice(ends, len(x)), rng.integers(-(2**24), 2**24, len(x)))
    factor[:] = rng.permutation(np.arange(len(x)) % 4097)
    decay_all(x, factor, out)
    exact = x.astype(np.int64) * factor
    assert np.array_equal(out, np.sign(exact) * (np.abs(exact) // 4096))


def test_integers_in_32_bits_only_where_they_fit() -> None:
    """A synaptic current on which large sums pile up needs 64 bits; it wraps and is counted as in the reference."""

    def graph(weight_exp: int, decay_u: int) -> Graph:
        constants = {"decay_v": 3500, "decay_u": decay_u, "gain": 1, "bias": 0, "v_th": 1000, "v_reset": 0, "n_ref": 0}
        neurons = LIF("n", 3, **{name: np.full(3, value) for name, value in constants.items()}, reset="subtract")
        weights = np.array([[254, -256, 100], [254, -256, -254]])
        return Graph(1e-3, (Input("in", 2), neurons), (Projection.from_dense("in", "n", weights, weight_exp=weight_exp),))

    x = Spikes.from_dense(np.random.default_rng(0).random((60, 2, 2)) < 0.8, 1e-3)
    narrow, piling, wide = graph(0, 4000), graph(11, 4000), graph(15, 0)
    assert [lane_type(g) for g in (narrow, piling, wide)] == [np.int32, np.int64, np.int64]
    assert not check(narrow, x).saturations.get("n.u")
    assert check(piling, x).saturations["n.u"] > 50
    check(wide, x)
    check(graph(16, 4000), x)  # sums of more than 32 bits, which one turn does not bring back


def test_negative_exponents_round_each_projection() -> None:
    rng = np.random.default_rng(1)
    graph = random_graph(rng, precision="integer", max_neurons=20)
    exponents = [-3, -1, 0, 2] * len(graph.projections)
    graph = graph.replace(projections=tuple(dataclasses.replace(q, weight_exp=e) for q, e in zip(graph.projections, exponents)))
    check(graph, random_inputs(rng, graph, 3, 60, rate=0.5))


def test_several_input_populations() -> None:
    rng = np.random.default_rng(2)
    graph = random_graph(rng, max_neurons=12)
    second = Input("second", 5)
    extra = Projection.from_dense("second", "hidden0", rng.normal(size=(5, graph.population("hidden0").n)), delays=2)
    graph = graph.replace(populations=(*graph.populations, second), projections=(*graph.projections, extra))
    dense = rng.random((50, 3, 5)) < 0.3
    check(
        graph,
        {"in": Spikes.from_dense(rng.random((50, 3, graph.inputs[0].n)) < 0.2, graph.dt), "second": Spikes.from_dense(dense, graph.dt)},
    )


def test_batches_and_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    graph = random_graph(rng, max_neurons=30)
    x = random_inputs(rng, graph, 75, 30)
    whole = FastBackend().run(graph, x, states=["hidden0"])
    done: list[tuple[int, int]] = []
    monkeypatch.setattr(backend, "CHUNK", 20)
    monkeypatch.setattr(sharing, "threads", lambda: 3)
    equal(FastBackend().run(graph, x, states=["hidden0"], progress=lambda n, of: done.append((n, of))), whole)
    assert done == [(20, 75), (40, 75), (60, 75), (75, 75)]
    counted(FastBackend().summarise(graph, x), graph, x, whole)


def test_a_window_longer_than_the_run() -> None:
    graph = random_graph(np.random.default_rng(0))
    x = random_inputs(np.random.default_rng(0), graph, 1, 20)
    with pytest.raises(GraphError, match=r"window is 21 steps; allowed: 1\.\.20"):
        FastBackend().summarise(graph, x, window=21)


def test_summaries_of_another_graph_are_refused() -> None:
    rng = np.random.default_rng(0)
    graph, other = random_graph(rng), random_graph(rng)
    with pytest.raises(GraphError, match="give the one that ran"):
        of_summary(other, FastBackend().summarise(graph, random_inputs(rng, graph, 1, 20)))
