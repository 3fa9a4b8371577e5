"""Plastic projections as Loihi learning rules: strings by hand, refusals with reasons, how far Lava's engine is from the exact rule."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph.backends.base import Kept
from neuromorph.backends.lava import LavaBackend
from neuromorph.backends.lava.deviation import deviations
from neuromorph.backends.lava.learning_rule import compile_rule, rules_of
from neuromorph.backends.lava.netlist import lower
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import BackendError
from neuromorph.graph import LI, LIF, FixedPoint, Graph, Input, Plasticity, Projection
from neuromorph.spikes import Spikes
from tests.backends.test_lava import bytecode_of_the_workers, lava

__all__ = ["bytecode_of_the_workers"]

FIXED = FixedPoint(
    alpha_exp=-11, pre_step=64, post_step=64, trace_max=127, third_shift=4, change_shift=8, eligibility_shift=0, eligibility_max=2**15 - 1
)
RULE = Plasticity("retroactive", np.full(4, 128), 512, 3300, 4080, "reward", 60, 0, 0, FIXED)


def one(rule: Plasticity, n: int = 4) -> Graph:
    """`n` inputs onto one neuron."""
    q = replace(Projection.from_dense("in", "n", np.full((n, 1), 40)), plasticity=rule)
    return Graph(1e-3, (Input("in", n), LIF.of("n", 1, decay_v=3700, v_th=200, precision="integer")), (q,))


def strings(rule: Plasticity) -> tuple[str, str]:
    made = compile_rule(one(rule), one(rule).projections[0])
    return made.dw, made.dt


def test_strings_by_hand():
    """alpha * H >> 11 = H / 16, and H up to 4080 is the weight up to 255 times 2^0. x1 is p. The tag holds E / 2^5, for q * p is at most
    64 * 127 = 8128; eta is 1/8: a pair adds 64 / 8 / 32 = 1/4 of p. M * E >> 8 is M * t * 32 / 256 in H, 1/128 in weights: by 2^5, which
    the engine shifts away (7 + 9 + 4 - 15), 2^-2.
    """
    made = compile_rule(one(RULE), one(RULE).projections[0])
    assert (made.dw, made.dt) == ("1*2^-2 * u0 * (y2 - 64) * t", "1*2^-2 * y0 * x1 - 1*2^-3 * u0 * t")
    assert (made.weight_exp, made.h_unit, made.e_unit) == (0, 16.0, 32.0)
    assert (made.x1_impulse, made.third_trace, made.third_shift, made.third_limit) == (64, "y2", 0, 60)
    assert np.exp(-1 / made.x1_tau) == pytest.approx(3300 / 4096)
    assert set(made.errors.values()) == {0.0}
    assert str(made).splitlines()[:2] == [f"dw = {made.dw}", f"dt = {made.dt}"]


def test_the_other_rules_and_forms_by_hand():
    """modulated: 64 * M * p >> 10 is M * p / 16 in H, / 256 in weights; by 2^3: 2^-5. hebbian: 512 * 64 * p >> 16, 1/2 of p, 1/32 in
    weights. An offset of 8 of 64 takes an eighth of that in every step; a negative alpha turns the weight's sign; M of 120 is halved.
    """
    modulated = replace(RULE, rule="modulated", fixed=replace(FIXED, change_shift=10))
    assert strings(modulated) == ("1*2^-5 * y0 * (y2 - 64) * x1", "")
    hebbian = replace(RULE, rule="hebbian", third_factor="", third_limit=0, fixed=replace(FIXED, change_shift=16))
    assert strings(hebbian) == ("1*2^-5 * y0 * x1", "")
    with_offset = replace(modulated, post_offset=8, fixed=replace(FIXED, change_shift=8))
    assert strings(with_offset) == ("1*2^-3 * y0 * (y2 - 64) * x1 - 1*2^-6 * u0 * (y2 - 64) * x1", "")
    turned = compile_rule(one(replace(RULE, alpha=-RULE.alpha)), one(replace(RULE, alpha=-RULE.alpha)).projections[0])
    assert (turned.dw, turned.h_unit) == ("- 1*2^-2 * u0 * (y2 - 64) * t", -16.0)
    wide = compile_rule(one(replace(RULE, third_limit=120)), one(replace(RULE, third_limit=120)).projections[0])
    assert (wide.dw, wide.third_shift, wide.third_limit) == ("1*2^-1 * u0 * (y2 - 64) * t", 1, 60)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alpha": np.array([128, 128, 127, 128])}, "alpha must be the same for all synapses"),
        ({"alpha": np.zeros(4, np.int64)}, "alpha must be the same for all synapses and not 0"),
        ({"decay_post": 2000}, "decay_post is 2000.*give 0"),
        ({"clip": 0}, "clip is 0"),
        ({"eta": 0}, "nothing changes H: eta"),
        ({"rule": "modulated", "fixed": replace(FIXED, post_step=0)}, "nothing changes H"),
        ({"eta": 20}, r"u0 \* t has the coefficient 0\.00488; there is m \* 2\^e"),
        ({"post_offset": 1}, r"u0 \* x1 has the coefficient 0\.00391"),
        ({"fixed": replace(FIXED, change_shift=31)}, r"t has the coefficient .*, 2\^5 of it to make up for a shift"),
        ({"fixed": replace(FIXED, pre_step=0)}, "pre_step is 0"),
        ({"alpha": np.zeros(4, np.int64), "decay_post": 9}, "alpha must be .*; decay_post is 9"),
    ],
)
def test_what_the_chip_cannot_express_is_refused(changes, reason):
    graph = one(replace(RULE, **changes))
    with pytest.raises(BackendError, match=f"'in->n': Loihi's learning engine cannot express it: .*{reason}"):
        rules_of(graph)
    with pytest.raises(BackendError, match="Change the rule, or run it exactly"):
        lower(graph, Kept((), ()), "stock")


def test_graphs_and_projections_that_are_refused():
    q = Projection.from_dense("in", "n", np.full((4, 1), 0.5))
    floats = replace(q, plasticity=Plasticity("hebbian", np.ones(4), 0.1, 0.8, 1.0))
    graph = Graph(1e-3, (Input("in", 4), LIF.of("n", 1, decay_v=0.9, v_th=1.0)), (floats,))
    with pytest.raises(BackendError, match="the graph is of floats, quantise it first"):
        rules_of(graph)
    with pytest.raises(BackendError, match="'in->n': the projection is not plastic"):
        compile_rule(graph, q)


def test_third_factors_share_the_traces_of_a_neuron():
    """Three of them; a fourth finds none."""
    graph = one(RULE)
    (q,) = graph.projections
    many = [replace(q, name=f"q{k}", plasticity=replace(RULE, third_factor=f"reward{k}")) for k in range(4)]
    assert [rule.third_trace for rule in rules_of(graph.replace(projections=tuple(many[:3]))).values()] == ["y2", "y3", "y1"]
    with pytest.raises(BackendError, match=r"'n' gets 4 third factors \(reward0, .*\); a neuron has 3 traces"):
        rules_of(graph.replace(projections=tuple(many)))


# In Lava


STUDENTS = (
    ("retroactive", "retroactive", "reward", 8, -22),
    ("errors", "retroactive", "error", 9, -22),
    ("modulated", "modulated", "critic", 10, -22),
    ("hebbian", "hebbian", "", 16, -22),
    ("closed", "retroactive", "reward", 8, -11),
)
"""Populations with the rule of their input, third factor (one value, one a neuron, a readout), change_shift and alpha_exp: with -22 H is
too small to change a spike by more than a rounding, so that the rule alone is compared; with -11 H is about a sixth of the weights."""


def students() -> Graph:
    rng = np.random.default_rng(1)
    populations = [Input("in", 12), LI.of("critic", 1, decay_v=3600, precision="integer")]
    projections = [Projection.from_dense("modulated", "critic", rng.integers(-20, 21, (6, 1)) * 2)]
    for name, rule, third, shift, alpha_exp in STUDENTS:
        populations.append(LIF.of(name, 6, decay_v=3700, v_th=200, precision="integer"))
        q = Projection.from_dense("in", name, rng.integers(0, 40, (12, 6)) * 2 * (rng.random((12, 6)) < 0.9))
        fixed, alpha = replace(FIXED, change_shift=shift, alpha_exp=alpha_exp), np.full(q.n_synapses, 128)
        made = replace(RULE, rule=rule, alpha=alpha, third_factor=third, third_limit=60 if third else 0, fixed=fixed)
        projections.append(replace(q, plasticity=made))
    return Graph(1e-3, tuple(populations), tuple(projections))


@lava
def test_the_stock_rule_is_near_the_exact_one_and_labelled_approximate():
    """500 steps, the same sample twice: it begins anew, rounding included. Where H moves spikes the two part."""
    graph, rng = students(), np.random.default_rng(2)
    n_steps = 500
    inputs = Spikes.from_dense(np.repeat(rng.random((n_steps, 1, 12)) < 0.1, 2, axis=1), graph.dt)
    often = rng.random((n_steps, 1, 1)) < 0.1
    signals = {"reward": rng.normal(0, 30, (n_steps, 1, 1)) * often, "error": rng.normal(0, 30, (n_steps, 1, 6)) * often}
    third = {name: np.rint(np.repeat(signal, 2, axis=1)).astype(np.int64) for name, signal in signals.items()}
    names = [q.name for q in graph.plastic]
    exact = ReferenceBackend().run(graph, inputs, states=names, third_factors=third)
    found = LavaBackend(learning="stock").run(graph, inputs, states=names, third_factors=third)
    assert found.backend == "lava, approximate stock rule"
    for name, deviation in deviations(graph, exact, found).items():
        print(name, deviation)
        assert 0 < deviation.mean < 0.02 * deviation.clip, name
        assert name == "in->closed" or deviation.differ < 0.1 * deviation.spikes, name
        assert name == "in->closed" or deviation.correlation > 0.9, name
        for x in ("H", "E"):
            np.testing.assert_array_equal(found.states[name][x][:, 0], found.states[name][x][:, 1])
