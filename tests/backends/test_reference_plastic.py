"""Plasticity on the reference against the equations, synapse by synapse in plain Python; rounding; step sessions; third factors."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.base import HasStepSessions, StepSession
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError
from neuromorph.graph import LI, LIF, FixedPoint, Graph, Input, Plasticity, Projection
from neuromorph.graph.plasticity import random_bits, rounded
from tests.strategies import plastic_graph, random_inputs, third_factors

RULES = ("hebbian", "modulated", "retroactive")


def clipped(x, limit):
    return max(-limit, min(limit, x))


def hashed(bits: int, fixed: FixedPoint, draw: int, step: int, sample: int, synapse: int) -> int:
    """The random number of one rounding in Python's own whole numbers."""
    x = (fixed.seed * 0x9E3779B1 + step * 0xC2B2AE3D + draw * 0x165667B1 + sample * 0x85EBCA77 + synapse * 0x27D4EB2F) % 2**32
    x = (x ^ (x >> 15)) * 0x2C1B3C6D % 2**32
    x = (x ^ (x >> 12)) * 0x297A2D39 % 2**32
    return (x ^ (x >> 15)) >> (32 - bits)


def shifted(x: int, shift: int, fixed: FixedPoint, draw: int, step: int, sample: int, synapse: int) -> int:
    if shift <= 0:
        return x * 2**-shift
    add = 2 ** (shift - 1) if fixed.rounding == "nearest" else hashed(shift, fixed, draw, step, sample, synapse)
    return math.floor((x + add) / 2**shift)


def by_hand(q: Projection, pre: np.ndarray, post: np.ndarray, third: np.ndarray, sample: int) -> tuple[list, list]:
    """H and E of every synapse after every step, from spikes [steps, n] of both ends and the third factor [steps, n_target]."""
    rule, fixed, rows = q.plasticity, q.plasticity.fixed, q.rows
    n = range(q.n_synapses)
    p, s, h, e = ([0] * q.n_source, [0] * post.shape[1], [0] * len(n), [0] * len(n))
    found_h, found_e = [], []
    for t in range(len(pre)):
        for i in range(q.n_source):
            arrived = int(pre[t - 1, i]) if t else 0
            p[i] = (
                rule.decay_pre * p[i] + arrived if fixed is None else min((p[i] * rule.decay_pre // 4096) + arrived * fixed.pre_step, 127)
            )
        for j in range(post.shape[1]):
            z = int(post[t, j])
            s[j] = rule.decay_post * s[j] + z if fixed is None else min((s[j] * rule.decay_post // 4096) + z * fixed.post_step, 127)
        for k in n:
            j = q.indices[k]
            product = (s[j] - rule.post_offset) * p[rows[k]]
            m = clipped(third[t, j], rule.third_limit)
            change = {"hebbian": rule.eta * product, "modulated": m * product, "retroactive": m * e[k]}[rule.rule]
            if rule.rule == "retroactive":
                if fixed is None:
                    e[k] = (1 - rule.eta) * e[k] + rule.eta * product
                else:
                    kept = int((4096 - rule.eta) * e[k] + rule.eta * int(product) * 2**fixed.eligibility_shift)
                    e[k] = clipped(shifted(kept, 12, fixed, 1, t, sample, k), fixed.eligibility_max)
            if fixed is not None:
                change = shifted(int(change), fixed.change_shift, fixed, 0, t, sample, k)
            h[k] = clipped(h[k] + change, rule.clip)
        found_h.append(list(h))
        found_e.append(list(e))
    return found_h, found_e


def third_of(graph: Graph, q: Projection, given: dict[str, np.ndarray], recording, sample: int) -> np.ndarray:
    """[steps, n_target]."""
    name, n = q.plasticity.third_factor, graph.population(q.target).n
    if not name:
        return np.zeros((recording.n_steps, n))
    signal = given[name][:, sample] if name in given else recording.readouts[name][:, sample]
    if name not in given and q.plasticity.fixed:
        signal = signal >> q.plasticity.fixed.third_shift
    return np.broadcast_to(signal.reshape(recording.n_steps, -1), (recording.n_steps, n))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(RULES), st.sampled_from(["float", "integer"]), st.booleans())
def test_every_synapse_follows_the_equations(seed: int, rule: str, precision: str, modulator: bool) -> None:
    rng = np.random.default_rng(seed)
    graph = plastic_graph(rng, rule=rule, modulator=modulator, precision=precision, max_neurons=5)
    inputs, given_ = random_inputs(rng, graph, 2, 25), third_factors(rng, graph, 2, 25)
    states = [*(q.name for q in graph.plastic), *(p.name for p in graph.neurons)]
    recording = ReferenceBackend().run(graph, inputs, states=states, third_factors=given_)
    dense = {graph.inputs[0].name: inputs.to_dense()} | {name: s.to_dense() for name, s in recording.spikes.items()}
    for q in graph.plastic:
        for sample in range(2):
            third = third_of(graph, q, given_, recording, sample)
            h, e = by_hand(q, dense[q.source][:, sample], dense[q.target][:, sample], third, sample)
            for name, wanted in (("H", h), ("E", e)):
                found = recording.states[q.name][name][:, sample]
                if precision == "integer":
                    assert np.array_equal(found, np.array(wanted, np.int64).reshape(found.shape))
                else:
                    assert np.allclose(found, np.array(wanted).reshape(found.shape), rtol=1e-12, atol=1e-12)


def reward_network(precision: str = "float") -> Graph:
    """One input onto one neuron that any arriving spike fires; E grows with each pair, H at the reward."""
    if precision == "float":
        rule = Plasticity("retroactive", np.array([0.5]), eta=0.5, decay_pre=0.5, clip=1.0, third_factor="reward")
        neuron, weight = LIF.of("n", 1, decay_v=0.0, v_th=0.5, gain=1.0, reset="to_value"), np.array([[1.0]])
    else:
        fixed = FixedPoint(-4, 64, 16, 127, 0, 8, 0, 2**15 - 1)
        rule = Plasticity(
            "retroactive", np.array([128]), 2048, 2048, 255, "reward", third_limit=127, decay_post=0, post_offset=0, fixed=fixed
        )
        neuron, weight = LIF.of("n", 1, decay_v=1, v_th=10, precision="integer"), np.array([[64]])
    q = replace(Projection.from_dense("i", "n", weight), plasticity=rule)
    return Graph(1e-3, (Input("i", 1), neuron), (q,))


def test_a_reward_by_hand() -> None:
    """Spikes at steps 0 and 1 arrive and fire the neuron at 1 and 2: p = 1, 1.5; E = 0.5, 1.0, then halves. A reward of 0.8 at step 4 finds
    E = 0.5 of step 3; H = 0.4, so that a further spike counts 1 + 0.5 * 0.4."""
    graph = reward_network()
    reward = np.zeros((8, 1))
    reward[4] = 0.8
    inputs = random_inputs(np.random.default_rng(0), graph, 1, 8, rate=0.0)
    dense = inputs.to_dense()
    dense[[0, 1, 5]] = True
    inputs = type(inputs).from_dense(dense, graph.dt)
    recording = ReferenceBackend().run(graph, inputs, states=["i->n", "n"], third_factors={"reward": reward})
    traces = recording.states["i->n"]
    assert traces["E"][:5, 0, 0].tolist() == [0, 0.5, 1.0, 0.5, 0.25]
    assert traces["H"][:, 0, 0] == pytest.approx([0, 0, 0, 0, 0.4, 0.4, 0.4, 0.4])
    assert recording.states["n"]["v"][6, 0, 0] == pytest.approx(1.2)


def test_random_bits_are_uniform_and_told_by_their_place() -> None:
    drawn = random_bits(12, 3, 0, 7, np.arange(100)[:, None], np.arange(100))
    assert drawn.min() >= 0
    assert drawn.max() < 4096
    assert drawn.mean() == pytest.approx(2047.5, abs=5 * 4096 / np.sqrt(12 * 10_000))
    assert len({int(random_bits(32, s, d, t, np.array([0]), np.array([0]))[0]) for s in range(4) for d in (0, 1) for t in range(50)}) == 400
    fixed = FixedPoint(0, 1, 1, 1, 0, 0, 0, 1, "stochastic", seed=3)
    assert int(random_bits(9, 3, 1, 5, np.array([2]), np.array([11]))[0]) == hashed(9, fixed, 1, 5, 2, 11)


def test_stochastic_rounding_is_right_on_average() -> None:
    fixed = FixedPoint(0, 1, 1, 1, 0, 0, 0, 1, "stochastic", seed=1)
    x = rounded(np.full((1, 20_000), 1000), 12, fixed, 0, 0, np.zeros((1, 1), np.int64), np.arange(20_000))
    assert set(np.unique(x)) == {0, 1}
    assert x.mean() == pytest.approx(1000 / 4096, abs=0.015)
    nearest = replace(fixed, rounding="nearest")
    assert rounded(np.array([2047, 2048, -2048, -2049]), 12, nearest, 0, 0, np.array(0), np.array(0)).tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_step_by_step_is_the_same_run(precision: str) -> None:
    rng = np.random.default_rng(4)
    graph = plastic_graph(rng, rule="retroactive", modulator=False, precision=precision, max_neurons=8)
    inputs, given_ = random_inputs(rng, graph, 3, 30), third_factors(rng, graph, 3, 30)
    whole = ReferenceBackend().run(graph, inputs, states=[q.name for q in graph.plastic], third_factors=given_)
    backend = ReferenceBackend()
    assert isinstance(backend, HasStepSessions)
    with backend.step_session(graph, n_samples=3) as session:
        assert isinstance(session, StepSession)
        for _ in range(2):
            for t in range(30):
                step = session.step({"in": inputs.to_dense()[t]}, {name: signal[t] for name, signal in given_.items()})
                assert all(np.array_equal(z, whole.spikes[name].to_dense()[t]) for name, z in step.spikes.items())
                assert all(np.array_equal(y, whole.readouts[name][t]) for name, y in step.readouts.items())
            for q in graph.plastic:
                for name, found in session.plastic(q.name).items():
                    assert np.array_equal(found, whole.states[q.name][name][-1])
            session.reset()


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, r"given for \[\].*ask for \['reward'\]"),
        ({"rewards": np.zeros((8, 1))}, "given for"),
        ({"reward": np.zeros((7, 1))}, r"shape \(7, 1\); give \(8, 1\)"),
        ({"reward": np.full((8, 1), np.nan)}, "NaN"),
    ],
)
def test_third_factors_that_do_not_fit(given_: dict, message: str) -> None:
    graph = reward_network()
    inputs = random_inputs(np.random.default_rng(0), graph, 1, 8)
    with pytest.raises(GraphError, match=message):
        ReferenceBackend().run(graph, inputs, third_factors=given_)


def test_integers_take_whole_third_factors() -> None:
    graph = reward_network("integer")
    inputs = random_inputs(np.random.default_rng(0), graph, 1, 8)
    with pytest.raises(GraphError, match="whole numbers"):
        ReferenceBackend().run(graph, inputs, third_factors={"reward": np.full((8, 1), 0.5)})


def test_saturations_are_counted() -> None:
    graph = reward_network("integer")
    inputs = random_inputs(np.random.default_rng(0), graph, 1, 8)
    recording = ReferenceBackend().run(graph, inputs, third_factors={"reward": np.full((8, 1), 300, np.int64)})
    assert recording.saturations["i->n.M"] == 8


def test_stochastic_rounding_does_not_depend_on_how_samples_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    graph = plastic_graph(rng, rule="retroactive", rounding="stochastic", modulator=False, precision="integer")
    inputs, given_ = random_inputs(rng, graph, 5, 20), third_factors(rng, graph, 5, 20)
    names = [q.name for q in graph.plastic]
    whole = ReferenceBackend().run(graph, inputs, states=names, third_factors=given_)
    monkeypatch.setattr("neuromorph.backends.reference.CHUNK", 2)
    parts = ReferenceBackend().run(graph, inputs, states=names, third_factors=given_)
    assert all(np.array_equal(whole.states[name][x], parts.states[name][x]) for name in names for x in ("H", "E"))


def test_readouts_that_modulate_must_fit() -> None:
    graph = reward_network()
    (q,) = graph.projections
    wide = (*graph.populations, LI.of("m", 2, decay_v=0.5))
    with pytest.raises(GraphError, match="must be an LI of 1 or 1 neurons"):
        graph.replace(populations=wide, projections=(replace(q, plasticity=replace(q.plasticity, third_factor="m")),))
