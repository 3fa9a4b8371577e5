"""Plasticity rules as data: every rule of theirs broken once, files, digests."""

import copy
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import GraphError
from neuromorph.graph import LI, LIF, Graph, Input, Plasticity, Projection, load, save
from neuromorph.graph.hdf5 import VERSION
from tests.strategies import plastic_graph, random_graph


def network(precision: str = "float", **changes) -> Graph:
    graph = plastic_graph(np.random.default_rng(2), rule="retroactive", modulator=False, precision=precision, max_neurons=4)
    return graph.replace(projections=tuple(plastic(q, **changes) if q.plasticity else q for q in graph.projections))


def plastic(q: Projection, **changes) -> Projection:
    assert q.plasticity is not None
    fixed = {name: changes.pop(name) for name in list(changes) if name.startswith("fixed_")}
    rule = copy.copy(q.plasticity)
    if fixed:
        changes["fixed"] = copy.copy(rule.fixed)
    for target, values in ((rule, changes), (changes.get("fixed"), fixed)):
        for name, value in values.items():  # past the checks of types, which a caller may not have
            object.__setattr__(target, name.removeprefix("fixed_") if target is not rule else name, value)
    return replace(q, plasticity=rule)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["float", "integer"]))
def test_files_hold_rules(tmp_path_factory: pytest.TempPathFactory, seed: int, precision: str) -> None:
    graph = plastic_graph(np.random.default_rng(seed), precision=precision)
    path = tmp_path_factory.mktemp("g") / "g.h5"
    save(path, graph)
    back = load(path)
    assert back == graph
    for q in graph.plastic:
        found = back.projection(q.name).plasticity
        assert found is not None
        assert np.array_equal(found.alpha, q.plasticity.alpha)
        for name in ("rule", "third_factor", "eta", "decay_pre", "decay_post", "post_offset", "third_limit", "clip", "fixed"):
            assert getattr(found, name) == getattr(q.plasticity, name)


def test_only_plastic_graphs_need_the_newer_format(tmp_path: Path) -> None:
    for graph, version in ((random_graph(np.random.default_rng(0)), 1), (network(), VERSION)):
        save(tmp_path / "g.h5", graph)
        with h5py.File(tmp_path / "g.h5") as file:
            assert file["neuromorph"].attrs["version"] == version


@pytest.mark.parametrize("field", ["eta", "decay_pre", "decay_post", "post_offset", "third_limit", "clip"])
def test_every_number_changes_the_digest(field: str) -> None:
    graph = network()
    value = getattr(graph.plastic[0].plasticity, field)
    assert network(**{field: value / 2 if value else 0.5}).digest() != graph.digest()


@pytest.mark.parametrize(
    ("precision", "changes", "message"),
    [
        ("float", {"rule": "oja"}, "rule is 'oja'; allowed: hebbian, modulated, retroactive"),
        ("float", {"eta": 1.5}, "eta is 1.5; allowed in a float graph: 0 to 1"),
        ("float", {"decay_pre": 1.0}, "decay_pre is 1.0"),
        ("float", {"clip": float("nan")}, "clip is nan"),
        ("float", {"third_factor": ""}, "third_factor is ''; name the signal"),
        ("float", {"rule": "hebbian"}, "the hebbian rule has no third factor"),
        ("float", {"third_factor": "hidden0"}, "must be an LI of 1"),
        ("integer", {"eta": 5000}, "eta is 5000; allowed in an integer graph: 0 to 4096"),
        ("integer", {"eta": 0.5}, "eta is 0.5"),
        ("integer", {"fixed": None}, "fixed is missing"),
        ("integer", {"fixed_trace_max": 256}, "fixed.trace_max is 256; allowed: 1 to 255"),
        ("integer", {"fixed_rounding": "up"}, "fixed.rounding is 'up'; allowed: nearest, stochastic"),
    ],
)
def test_rules_that_no_simulator_could_run(precision: str, changes: dict, message: str) -> None:
    with pytest.raises(GraphError, match="Projection .*" + message.replace("(", r"\(")):
        network(precision, **changes)


@pytest.mark.parametrize(
    ("precision", "value", "message"),
    [("float", None, "alpha is float64"), ("float", np.inf, "alpha must be finite"), ("integer", 256, "alpha reaches 256")],
)
def test_alpha_fits_the_synapses(precision: str, value: float | None, message: str) -> None:
    graph = network(precision)
    (first, *_) = graph.plastic
    alpha = np.zeros(first.n_synapses + 1) if value is None else np.full(first.n_synapses, value)
    changed = tuple(plastic(q, alpha=alpha) if q.name == first.name else q for q in graph.projections)
    with pytest.raises(GraphError, match=message):
        graph.replace(projections=changed)


def test_plastic_synapses_have_a_delay_of_one_and_end_at_neurons_that_spike() -> None:
    weights = np.ones((2, 2))
    rule = Plasticity("hebbian", np.ones(4), eta=0.1, decay_pre=0.5, clip=1.0)
    neurons = LIF.of("n", 2, decay_v=0.5, v_th=1.0), LI.of("y", 2, decay_v=0.5)
    late = Projection.from_dense("i", "n", weights, delays=2)
    silent = Projection.from_dense("i", "y", weights)
    for q, message in ((late, "delay of one step"), (silent, "does not spike")):
        with pytest.raises(GraphError, match=message):
            Graph(1e-3, (Input("i", 2), *neurons), (replace(q, plasticity=rule),))


def test_synapses_without_a_weight_may_still_be_plastic() -> None:
    rule = Plasticity("hebbian", np.array([0.0, 1.0]), eta=0.1, decay_pre=0.5, clip=1.0)
    q = Projection("i->n", "i", "n", np.array([0, 2]), np.array([0, 1]), np.zeros(2), np.ones(2, np.int64), plasticity=rule)
    graph = Graph(1e-3, (Input("i", 1), LIF.of("n", 2, decay_v=0.5, v_th=1.0)), (q,))
    assert q.used.tolist() == [False, True]
    assert graph.n_synapses == 1
    assert graph.fan_out("i").tolist() == [1]
