"""Synapses that learn in a run: every rule, by signal and by readout, over hundreds of steps, in floats and in both roundings."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph.backends.plastic import ThirdFactors
from neuromorph.compare import compare
from neuromorph.graph import LI, LIF, FixedPoint, Graph, Input, Plasticity, Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.conformance.conftest import Case
from tests.strategies import plastic_graph, random_inputs, third_factors

ROUNDINGS = {"float": ("nearest",), "integer": ("nearest", "stochastic")}
TOLERANCE = 1e-12
"""Of floats, relative to the largest; integers agree in every bit."""


def check(case: Case, graph: Graph, inputs: Spikes, third: ThirdFactors) -> Recording:
    """The backend must agree with the reference in spikes, traces, H, E and what was clipped, and must have learnt. Gives its run."""
    found, wanted = case.record(graph, inputs, third)
    assert sum(map(len, wanted.spikes.values())) > 20, "the graph hardly fires: the comparison would prove nothing"
    for q in graph.plastic:
        assert np.unique(wanted.states[q.name]["H"]).size > 10 or not q.n_synapses, "hardly anything was learnt"
        for x in ("H", "E"):
            agree(found.states[q.name][x], wanted.states[q.name][x], f"{q.name}.{x}")
    result = compare(graph, found, wanted)
    assert result.identical, str(result)
    assert dict(found.saturations) == dict(wanted.saturations)
    return found


def agree(found: np.ndarray, wanted: np.ndarray, name: str) -> None:
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), name
    tolerance = 0 if wanted.dtype == np.int64 else TOLERANCE * np.abs(wanted).max(initial=0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance, err_msg=name)


def random_plastic(precision: str, rule: str, by: str, rounding: str) -> tuple[Graph, np.random.Generator]:
    """The first random graph whose third factors are of that kind."""
    for seed in range(20, 60):
        rng = np.random.default_rng(seed)
        graph = plastic_graph(rng, rule=rule, modulator=by == "readout", rounding=rounding, precision=precision, max_neurons=6)
        if bool(graph.third_factors) == (by == "signal"):
            return graph, rng
    raise AssertionError("no such graph")


@pytest.mark.parametrize(
    ("rule", "by", "rounding"),
    [
        ("hebbian", "nothing", "stochastic"),
        ("modulated", "signal", "nearest"),
        ("modulated", "readout", "stochastic"),
        ("retroactive", "signal", "stochastic"),
        ("retroactive", "readout", "nearest"),
    ],
)
def test_rule(case: Case, rule: str, by: str, rounding: str) -> None:
    graph, rng = random_plastic(case.precision, rule, by, rounding)
    check(case, graph, random_inputs(rng, graph, 3, 60), third_factors(rng, graph, 3, 60))


def network(precision: str, rounding: str) -> Graph:
    """Eight inputs onto four neurons by plastic synapses, which all spike onto a critic; two rules: rewards and the critic modulate."""
    whole = precision == "integer"
    rng, kind = np.random.default_rng(0), int if whole else float
    fixed = FixedPoint(-6, 64, 16, 127, 8, 9, 1, 2**15 - 1, rounding, 7) if whole else None

    def rule(name: str, third: str, n: int) -> Plasticity:
        if fixed:
            return Plasticity(name, rng.integers(-255, 256, n), 150, 3500, 256, third, 127, 2800, 9, fixed)
        return Plasticity(name, rng.normal(0, 0.3, n), 0.04, 0.85, 1.0, third, 1.0, 0.7, 0.6)

    def project(source: str, n: int, target: str, high: int, name: str = "", third: str = "") -> Projection:
        weights = rng.integers(1, high, (n, 4 if target == "actor" else 1)) * 2
        q = Projection.from_dense(source, target, weights if whole else weights / 100)
        return replace(q, plasticity=rule(name, third, q.n_synapses)) if name else q

    actor = LIF.of("actor", 4, decay_v=kind(3300 if whole else 0.8), v_th=kind(400 if whole else 4.0), gain=kind(1), precision=precision)
    critic = LI.of("critic", 1, decay_v=kind(3700 if whole else 0.9), gain=kind(1) if whole else 0.1, precision=precision)
    reward = project("in", 8, "actor", 50, "retroactive", "reward")
    back = project("actor", 4, "actor", 10, "modulated", "critic")
    return Graph(1e-3, (Input("in", 8), actor, critic), (reward, back, project("actor", 4, "critic", 5)))


def test_hundreds_of_steps_with_rewards(case: Case) -> None:
    """A reward or a punishment every 40 steps, of all neurons of a sample; between them eligibility comes and goes."""
    n_steps = 520
    for rounding in ROUNDINGS[case.precision]:
        graph = network(case.precision, rounding)
        rewards = np.zeros((n_steps, 2))
        rewards[39::40] = np.random.default_rng(1).choice([-2.0, 0.7, 0.9], (13, 2))
        third = {"reward": np.rint(64 * rewards).astype(np.int64) if case.precision == "integer" else rewards}
        found = check(case, graph, random_inputs(np.random.default_rng(2), graph, 2, n_steps), third)
        states = found.states["in->actor"]
        changes = np.flatnonzero(np.diff(states["H"], axis=0).any(axis=(1, 2))) + 1
        assert changes.tolist() == list(range(39, n_steps, 40))
        assert states["E"].any(axis=(1, 2)).mean() > 0.9


def test_many_samples_round_by_their_numbers(case: Case) -> None:
    """More than any backend simulates side by side; in the second batch stochastic rounding goes on with the samples' numbers."""
    rng, n_samples = np.random.default_rng(3), 70
    graph = network(case.precision, "stochastic")
    inputs = random_inputs(rng, graph, n_samples, 12, rate=0.5)
    found = check(case, graph, inputs, third_factors(rng, graph, n_samples, 12))
    assert len(np.unique(found.states["in->actor"]["H"][-1], axis=0)) > n_samples // 2


def test_a_signal_of_each_neuron(case: Case) -> None:
    graph = network(case.precision, "nearest")
    rng = np.random.default_rng(4)
    signal = rng.integers(-90, 140, (40, 2, 4))
    inputs = random_inputs(rng, graph, 2, 40, rate=0.4)
    check(case, graph, inputs, {"reward": signal if case.precision == "integer" else signal / 64})
