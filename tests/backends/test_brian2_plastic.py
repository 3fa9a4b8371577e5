"""Plastic graphs on Brian2: equal to `reference` in every bit, in floats too, in batches and chunks, and on a compiled target."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromorph.backends.brian2 import Brian2Backend, backend
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError
from neuromorph.graph import LI, LIF, Graph, Input, Plasticity, Projection
from neuromorph.graph.plasticity import RULES, FixedPoint
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.backends.test_brian2 import compiler, equal, world
from tests.strategies import plastic_graph, random_inputs, third_factors

Third: TypeAlias = Mapping[str, np.ndarray]


def states(graph: Graph) -> list[str]:
    return [*(p.name for p in graph.neurons), *(q.name for q in graph.plastic)]


def wanted(graph: Graph, x: Spikes, third: Third) -> Recording:
    return ReferenceBackend().run(graph, x, states=states(graph), third_factors=third)


def run(graph: Graph, x: Spikes, third: Third, *args, **options) -> Recording:
    return Brian2Backend(*args).run(graph, x, states=states(graph), third_factors=third, **options)


def example(seed: int, n_samples: int, n_steps: int, **choices) -> tuple[Graph, Spikes, Third]:
    rng = np.random.default_rng(seed)
    graph = plastic_graph(rng, max_neurons=6, **choices)
    return graph, random_inputs(rng, graph, n_samples, n_steps), third_factors(rng, graph, n_samples, n_steps)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.sampled_from(RULES), st.booleans(), st.sampled_from(["nearest", "stochastic"]))
@pytest.mark.parametrize("precision", ["float", "integer"])
def test_every_bit(precision: str, seed: int, rule: str, modulator: bool, rounding: str) -> None:
    graph, x, third = example(seed, 2, 30, rule=rule, precision=precision, modulator=modulator, rounding=rounding)
    equal(run(graph, x, third), wanted(graph, x, third))


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_batches_and_chunks(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last batch is smaller; spikes on their way, traces and signals go on from chunk to chunk."""
    monkeypatch.setattr(backend, "REPLICA_SAMPLES", 2)
    graph, x, third = example(1, 5, 40, rule="retroactive", precision=precision, modulator=False, rounding="stochastic")
    expected = wanted(graph, x, third)
    assert all(np.unique(expected.states[q.name]["H"][-1], axis=0).shape[0] > 2 for q in graph.plastic)
    if precision == "integer":
        assert {name.split(".")[1] for name in expected.saturations} >= {"M", "E"}
    equal(run(graph, x, third, "numpy", 13), expected)


def shared_signal(precision: str) -> tuple[Graph, Spikes, Third]:
    """One signal of four values for a target of four neurons and one of two; a plastic projection without synapses; the largest shifts."""
    rng, whole = np.random.default_rng(5), precision == "integer"
    kind = int if whole else float
    fixed = FixedPoint(-24, 255, 255, 255, 0, 31, 12, 2**15 - 1, "stochastic", 2**31 - 1) if whole else None

    def lif(name: str, n: int) -> LIF:
        return LIF.of(name, n, decay_v=kind(2000 if whole else 0.5), v_th=kind(60 if whole else 1.0), gain=kind(1), precision=precision)

    def project(source: str, n: int, target: str, m: int) -> Projection:
        weights = rng.integers(0, 60, (n, m)) * 2 if n else np.zeros((4, m), np.int64)
        q = Projection.from_dense(source, target, weights if whole else weights / 60)
        alpha = rng.integers(-255, 256, q.n_synapses) if whole else rng.normal(0, 0.5, q.n_synapses)
        numbers = (4096, 3000, 2**15 - 1) if whole else (1, 0, 1)
        rule = Plasticity("retroactive", alpha, *numbers, "m", 2**15 - 1 if whole else 1, 0, -255 if whole else -1, fixed)
        return replace(q, plasticity=rule)

    readout = LI.of("out", 1, decay_v=kind(2000 if whole else 0.5), gain=kind(1), precision=precision)
    parts = (Input("in", 5), lif("four", 4), lif("two", 2), readout)
    synapses = (project("in", 5, "four", 4), project("four", 4, "two", 2), project("two", 0, "four", 4))
    synapses = (*synapses[:2], replace(synapses[2], indptr=np.zeros(3, np.int64)))
    signal = rng.integers(-(2**40), 2**40, (40, 3, 4)) if whole else rng.normal(0, 1, (40, 3, 4))
    graph = Graph(2.3e-4, parts, synapses)
    return graph, random_inputs(rng, graph, 3, 40), {"m": signal}


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_a_signal_of_two_targets(precision: str) -> None:
    graph, x, third = shared_signal(precision)
    expected = wanted(graph, x, third)
    equal(run(graph, x, third), expected)
    assert all(trace["H"].any() for name, trace in expected.states.items() if name.startswith(("in", "four-")))
    (q,) = [q for q in graph.plastic if not q.n_synapses]
    if precision == "integer":
        assert expected.saturations[f"{q.name}.pre"]
        assert expected.saturations[f"{q.name}.M"]


def test_only_what_is_asked_for_is_recorded() -> None:
    graph, x, third = example(2, 2, 20, rule="modulated", modulator=False)
    q = graph.plastic[-1]
    found = Brian2Backend().run(graph, x, states=[q.name], third_factors=third)
    assert found.states.keys() == {q.name}
    np.testing.assert_array_equal(found.states[q.name]["H"], wanted(graph, x, third).states[q.name]["H"])
    assert not found.states[q.name]["E"].any()


def test_signals_must_be_given() -> None:
    graph, x, _ = example(2, 2, 20, rule="modulated", modulator=False)
    with pytest.raises(GraphError, match="Third factors: given for"):
        Brian2Backend().run(graph, x)


def test_nothing_global_stays_changed() -> None:
    graph, x, third = example(3, 2, 20, rule="retroactive", precision="integer", rounding="stochastic")
    run(graph, x, third)
    before = world()
    run(graph, x, third)
    assert world() == before


@compiler
def test_cpp_standalone(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Floats by a signal, two batches with one program, which serves another run again."""
    monkeypatch.setattr(backend, "REPLICA_SAMPLES", 2)
    rng = np.random.default_rng(6)
    neuron = LIF.of("n", 3, decay_v=0.8, v_th=1.0)
    rule = Plasticity("retroactive", rng.normal(0, 1, 15), 0.2, 0.7, 0.6, "reward", 1.0, 0.5, 0.2)
    q = replace(Projection.from_dense("in", "n", rng.uniform(0.5, 2, (5, 3))), plasticity=rule)
    graph = Graph(1e-3, (Input("in", 5), neuron), (q,))
    built = set()
    for _ in range(2):
        x, third = random_inputs(rng, graph, 3, 80), {"reward": rng.normal(0, 1, (80, 3))}
        equal(run(graph, x, third, "cpp_standalone", None, tmp_path), wanted(graph, x, third))
        built.add((tmp_path / "main").stat().st_mtime_ns)
    assert len(built) == 1
