"""The reference against numbers worked by hand.

The equations are in `docs/format.md`. Floats are exact
binary fractions, so every comparison is for equality.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from neuromorph.backends import reference
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError, SaturationError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

STEPS = 8


def run(graph: Graph, fired: Mapping[int, list[int]] | None = None, steps: int = STEPS, **options: Any) -> Recording:
    """One sample; `fired`: input channels by step (default: channel 0 at every step)."""
    dense = np.zeros((steps, 1, graph.inputs[0].n), np.bool_)
    for t, channels in ({t: [0] for t in range(steps)} if fired is None else fired).items():
        dense[t, 0, channels] = True
    return ReferenceBackend().run(graph, Spikes.from_dense(dense, graph.dt), **options)


def one(neuron: LIF | LI, weight: float, *, weight_exp: int = 0, delay: int = 1) -> Graph:
    """An input channel onto one neuron named "n"."""
    return Graph(1e-3, (Input("in", 1), neuron), (Projection.from_dense("in", "n", [[weight]], delays=delay, weight_exp=weight_exp),))


def trace(graph: Graph, fired: Mapping[int, list[int]] | None = None, steps: int = STEPS, variable: str = "v") -> list:
    return run(graph, fired, steps, states=["n"]).states["n"][variable][:, 0, 0].tolist()


def spikes(graph: Graph, fired: Mapping[int, list[int]] | None = None, steps: int = STEPS) -> list[int]:
    return run(graph, fired, steps).spikes["n"].step.tolist()


def lif(**constants: Any) -> LIF:
    return LIF.of("n", 1, **{"decay_v": 0.5, "gain": 1.0, "v_th": 1.0, **constants})


def alif(**constants: Any) -> ALIF:
    return ALIF.of("n", 1, **{"decay_v": 0.5, "gain": 1.0, "v_th": 1.0, "decay_a": 0.5, "kappa": 0.5, **constants})


def whole(**constants: Any) -> LIF:
    return LIF.of("n", 1, precision="integer", **{"decay_v": 2048, "v_th": 3, **constants})


# -- floats by hand ------------------------------------------------------------------------------------------------


def test_lif_with_subtracting_reset():
    """The input of step 0 arrives at step 1. v = v/2 + 0.75, less 1 after a spike:
    0 | 0.75 | 0.375+0.75 = 1.125 spike | 0.5625+0.75-1 = 0.3125 | 0.15625+0.75 = 0.90625 |
    0.453125+0.75 = 1.203125 spike | 0.6015625+0.75-1 = 0.3515625 | 0.17578125+0.75 = 0.92578125"""
    graph = one(lif(), 0.75)
    assert trace(graph) == [0, 0.75, 1.125, 0.3125, 0.90625, 1.203125, 0.3515625, 0.92578125]
    assert spikes(graph) == [2, 5]


def test_lif_with_reset_to_a_value():
    """After a spike v starts from v_reset = -0.25: -0.125+0.75 = 0.625, then 0.3125+0.75 = 1.0625 spike."""
    graph = one(lif(reset="to_value", v_reset=-0.25), 0.75)
    assert trace(graph) == [0, 0.75, 1.125, 0.625, 1.0625, 0.625, 1.0625, 0.625]
    assert spikes(graph) == [2, 4, 6]


def test_a_subtracting_reset_knows_no_v_reset():
    assert trace(one(lif(v_reset=-0.25), 0.75)) == trace(one(lif(), 0.75))


def test_the_threshold_itself_is_no_crossing():
    """decay 0: v = w. Spike only where v > 1."""
    assert spikes(one(lif(decay_v=0.0), 1.0)) == []
    assert spikes(one(lif(decay_v=0.0, reset="to_value"), 1 + 2**-52), steps=3) == [1, 2]


def test_gain_and_bias():
    """v = v/2 + 0.25*2 + 0.125 with one input spike: 0.125 | 0.0625+0.5+0.125 = 0.6875 | 0.34375+0.125 = 0.46875"""
    assert trace(one(lif(gain=0.25, bias=0.125), 2.0), {0: [0]}, 3) == [0.125, 0.6875, 0.46875]


def test_synaptic_current():
    """u = u/2 + I: 0 | 1 | 1/2 | 1/4 | 1/8. v = v/2 + u: 0 | 1 | 0.5+0.5 = 1 | 0.5+0.25 = 0.75 | 0.375+0.125 = 0.5"""
    assert trace(one(lif(decay_u=0.5, v_th=2.0), 1.0), {0: [0]}, 5) == [0, 1, 1, 0.75, 0.5]


def test_adaptation_of_the_threshold():
    """a = a/2 + z[t-1]/2, theta = 1 + a, w = 1.5; the reset takes off the theta that was crossed:
    t   a        theta    v
    1   0        1        1.5                            spike
    2   0.5      1.5      0.75   + 1.5 - 1      = 1.25
    3   0.25     1.25     0.625  + 1.5          = 2.125  spike
    4   0.625    1.625    1.0625 + 1.5 - 1.25   = 1.3125
    5   0.3125   1.3125   0.65625 + 1.5         = 2.15625 spike
    6   0.65625  1.65625  1.078125 + 1.5 - 1.3125 = 1.265625"""
    graph = one(alif(), 1.5)
    assert trace(graph, steps=7) == [0, 1.5, 1.25, 2.125, 1.3125, 2.15625, 1.265625]
    assert trace(graph, steps=7, variable="a") == [0, 0, 0.5, 0.25, 0.625, 0.3125, 0.65625]
    assert spikes(graph, steps=7) == [1, 3, 5]


def test_adaptation_by_a_current():
    """The same a, but taken off v each step; theta stays 1:
    1.5 spike | 0.75+1.5-0.5-1 = 0.75 | 0.375+1.5-0.25 = 1.625 spike | 0.8125+1.5-0.625-1 = 0.6875 |
    0.34375+1.5-0.3125 = 1.53125 spike | 0.765625+1.5-0.65625-1 = 0.609375"""
    graph = one(alif(adaptation="current"), 1.5)
    assert trace(graph, steps=7) == [0, 1.5, 0.75, 1.625, 0.6875, 1.53125, 0.609375]
    assert spikes(graph, steps=7) == [1, 3, 5]


def test_adaptation_by_a_current_with_reset_to_zero():
    """1.5 spike | 1.5-0.5 = 1 (not above 1) | 0.5+1.5-0.25 = 1.75 spike | 1.5-0.625 = 0.875 |
    0.4375+1.5-0.3125 = 1.625 spike"""
    graph = one(alif(adaptation="current", reset="to_value"), 1.5)
    assert trace(graph, steps=6) == [0, 1.5, 1, 1.75, 0.875, 1.625]
    assert spikes(graph, steps=6) == [1, 3, 5]


def test_v_integrates_through_refractoriness():
    """n_ref = 2, w = 2: 2 spike | 1+2-1 = 2 | 1+2 = 3 | 1.5+2 = 3.5 spike | 1.75+2-1 = 2.75"""
    graph = one(lif(n_ref=2), 2.0)
    assert trace(graph, steps=6) == [0, 2, 2, 3, 3.5, 2.75]
    assert spikes(graph, steps=6) == [1, 4]


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
@pytest.mark.parametrize("n_ref", range(5))
def test_the_shortest_interval_is_n_ref_plus_one(n_ref: int, reset: str):
    assert set(np.diff(spikes(one(lif(n_ref=n_ref, reset=reset), 8.0), steps=20))) == {n_ref + 1}


def test_the_golden_vector_of_the_lsnn_authors():
    """LSNN-official, a = exp(-1/20), threshold 0.01, n_ref 2, input 0.3 for three steps: z = 0 1 0 0 1 0 0 1 0.
    There a spike is found from the v of the step before, here the input arrives one step late: the same z. Here v is
    0.048771*0.3 = 0.0146312 spike | 0.951229*0.0146312+0.0146312-0.01 = 0.0185488 | 0.0322754 | 0.0307013 spike |
    0.0192040 | 0.0182674 | 0.0173765 spike | 0.0065290"""
    neuron = LIF.from_time_constants("n", 1, dt=1e-3, tau_m=20e-3, v_th=0.01, n_ref=2)
    graph = one(neuron, 0.3)
    assert spikes(graph, {0: [0], 1: [0], 2: [0]}, 9) == [1, 4, 7]
    v = [0, 0.0146312, 0.0185488, 0.0322754, 0.0307013, 0.0192040, 0.0182674, 0.0173765, 0.0065290]
    np.testing.assert_allclose(trace(graph, {0: [0], 1: [0], 2: [0]}, 9), v, atol=1.2e-7)


def test_readout():
    """y = y/2 + 0.25*2 + 0.125: 0.125 | 0.6875 | 0.34375+0.625 = 0.96875 | 0.484375+0.125 = 0.609375"""
    graph = one(LI.of("n", 1, decay_v=0.5, gain=0.25, bias=0.125), 2.0)
    assert run(graph, {0: [0], 1: [0]}, 4).readouts["n"][:, 0, 0].tolist() == [0.125, 0.6875, 0.96875, 0.609375]


def test_delays_of_one_to_three_steps():
    """Weights 1, 2, 4 with delays 1, 2, 3; all fire at step 0, the second again at step 1: 1 | 2 | 4+2."""
    projection = Projection.from_dense("in", "n", [[1.0], [2.0], [4.0]], delays=[[1], [2], [3]])
    graph = Graph(1e-3, (Input("in", 3), LI.of("n", 1, decay_v=0.0)), (projection,))
    assert run(graph, {0: [0, 1, 2], 1: [1]}, 6).readouts["n"][:, 0, 0].tolist() == [0, 1, 2, 6, 0, 0]


@pytest.mark.parametrize("target_first", [False, True])
def test_a_spike_takes_its_delay_whatever_the_order_of_populations(target_first: bool):
    """in -(1)-> n spikes at step 1 -(2)-> late spikes at step 3 -(1)-> n: fed back at step 4."""
    n, late = (LIF.of(name, 1, decay_v=0.0, v_th=1.0, reset="to_value") for name in ("n", "late"))
    populations = (late, n) if target_first else (n, late)
    projections = tuple(
        Projection.from_dense(*ends, [[1.5]], delays=d) for *ends, d in (("in", "n", 1), ("n", "late", 2), ("late", "n", 1))
    )
    recording = run(Graph(1e-3, (Input("in", 1), *populations), projections), {0: [0]}, 8)
    assert recording.spikes["n"].step.tolist() == [1, 4, 7]
    assert recording.spikes["late"].step.tolist() == [3, 6]


# -- integers by hand ----------------------------------------------------------------------------------------------


def test_integer_lif_with_subtracting_reset():
    """w = 2: u = 2 << 6 = 128; theta = 3 << 6 = 192; v = v/2 + 128, less 192 after a spike:
    0 | 128 | 64+128 = 192 (not above) | 96+128 = 224 spike | 112+128-192 = 48 | 24+128 = 152 | 76+128 = 204 spike |
    102+128-192 = 38"""
    graph = one(whole(), 2)
    assert trace(graph) == [0, 128, 192, 224, 48, 152, 204, 38]
    assert spikes(graph) == [3, 6]


def test_integer_lif_with_reset_to_zero():
    graph = one(whole(reset="to_value"), 2)
    assert trace(graph) == [0, 128, 192, 224, 128, 192, 224, 128]
    assert spikes(graph) == [3, 6]


def test_integer_decay_rounds_toward_zero():
    """Bias -3, decay 1/2: -3 | -(3/2 -> 1)-3 = -4 | -2-3 = -5 | -(5/2 -> 2)-3 = -5. (A floor would give -5 at step 1.)
    The mirror image with bias 3."""
    for sign in (-1, 1):
        assert trace(one(whole(bias=sign * 3), 2), {}, 5) == [sign * x for x in (3, 4, 5, 5, 5)]


def test_integer_synaptic_current():
    """decay_u = 1000 (du = 3095), A = -2: u = -128 | 128*1000/4096 = 31.25 -> -31 | 7.57 -> -7 | 1.7 -> -1 | 0.24 -> 0;
    decay_v = 1 forgets v at once, so v = u."""
    for sign in (-1, 1):
        graph = one(whole(decay_v=1, decay_u=1000), sign * 2)
        assert trace(graph, {0: [0]}, 6) == [sign * x for x in (0, 128, 31, 7, 1, 0)]


@pytest.mark.parametrize(
    ("weights", "weight_exp", "u"),
    [
        ([2, 4], 0, 6 << 6),
        ([2, 4], 3, 48 << 6),
        ([2, 4], -2, 1 << 6),  # 6/4 = 1.5, floor 1
        ([-2, -4], -2, -2 << 6),  # -1.5, floor -2
        ([2, 2], -2, 1 << 6),  # the sum is shifted: 4/4 = 1, though 2/4 alone would be 0
        ([2, -2], -2, 0),
    ],
)
def test_the_sum_of_a_projection_is_shifted(weights: list[int], weight_exp: int, u: int):
    projection = Projection.from_dense("in", "n", [[w] for w in weights], weight_exp=weight_exp)
    graph = Graph(1e-3, (Input("in", 2), whole(decay_v=1, v_th=1000)), (projection,))
    assert trace(graph, {0: [0, 1]}, 2) == [0, u]


def test_each_projection_is_shifted_by_itself():
    """2 >> 2 is 0 in both projections; together they would have been 1."""
    projections = tuple(Projection.from_dense("in", "n", [[2]], weight_exp=-2, name=name) for name in "ab")
    assert trace(Graph(1e-3, (Input("in", 1), whole()), projections), {0: [0]}, 2) == [0, 0]


@pytest.mark.parametrize(
    ("weight", "u", "wraps"),
    [
        (254, (254 << 16) - 2**24, 1),  # 16 646 144 > 2^23
        (128, 2**23, 0),  # exactly 2^23 stays, as in Lava
        (126, 126 << 16, 0),
        (-126, -(126 << 16), 0),
        (-128, 2**23, 1),  # exactly -2^23 does not
        (-256, 0, 1),
    ],
)
def test_u_wraps_at_2_to_the_23(weight: int, u: int, wraps: int):
    """w << 10 << 6, read where nothing else changes it: u decays by nothing much and v is u clipped."""
    recording = run(one(whole(decay_v=1, v_th=2**17 - 1), weight, weight_exp=10), {0: [0]}, 2, states=["n"])
    assert recording.states["n"]["v"][1, 0, 0] == min(u, 2**23 - 1)
    assert recording.saturations.get("n.u", 0) == wraps
    assert recording.saturations.get("n.v", 0) == (u == 2**23)


def test_v_is_clipped_and_counted():
    """Bias 2^23 - 1, decay 4095/4096: 8388607 | 8386559 + 8388607 clipped, at every later step again."""
    recording = run(one(whole(decay_v=4095, bias=2**23 - 1, n_ref=2**20), 2), {}, 4, states=["n"])
    assert recording.states["n"]["v"][:, 0, 0].tolist()[0] == 8388607
    # the spike of step 0 takes theta = 192 off at step 1: still far above
    assert recording.states["n"]["v"][:, 0, 0].tolist() == [8388607] * 4
    assert recording.saturations == {"n.v": 3}


def test_v_is_clipped_below():
    """-2^23 has no place in (-2^23, 2^23)."""
    recording = run(one(whole(bias=-(2**23)), 2), {}, 1, states=["n"])
    assert recording.states["n"]["v"].item() == -(2**23) + 1
    assert recording.saturations == {"n.v": 1}


ADAPTING = ALIF.of(
    "n", 1, decay_v=4095, v_th=0, bias=2**23 - 1, decay_a=4095, kappa=5_000_000, adaptation="current", reset="to_value", precision="integer"
)


def test_integer_adaptation_by_a_current_and_its_ceiling():
    """theta = 0, v = 0 after a spike:
    t  a                                         v = dec(v) + 8388607 - a
    0  0                                         8388607  spike
    1  5000000                                   3388607  spike
    2  4998779 + 5000000 -> 8388607 (clipped)    0        (not above 0)
    3  8388607*4095/4096 = 8386559               2048     spike
    4  8386559*4095/4096 = 8384511 + 5000000 -> 8388607 (clipped)   0"""
    recording = run(one(ADAPTING, 2), {}, 5, states=["n"])
    assert recording.states["n"]["a"][:, 0, 0].tolist() == [0, 5_000_000, 8388607, 8386559, 8388607]
    assert recording.states["n"]["v"][:, 0, 0].tolist() == [8388607, 3388607, 0, 2048, 0]
    assert recording.spikes["n"].step.tolist() == [0, 1, 3]
    assert recording.saturations == {"n.a": 2}


def test_integer_adaptation_of_the_threshold():
    """theta = (2 << 6) + a = 128 + a, a = a/2 + 65 z, v = v/2 + 256 less the crossed theta:
    t  a                     theta  v
    1  0                     128    256                   spike
    2  65                    193    128+256-128 = 256     spike
    3  32+65 = 97            225    128+256-193 = 191
    4  48                    176    95+256 = 351          spike
    5  24+65 = 89            217    175+256-176 = 255     spike"""
    neuron = ALIF.of("n", 1, decay_v=2048, v_th=2, decay_a=2048, kappa=65, precision="integer")
    graph = one(neuron, 4)
    assert trace(graph, steps=6) == [0, 256, 256, 191, 351, 255]
    assert trace(graph, steps=6, variable="a") == [0, 0, 65, 97, 48, 89]
    assert spikes(graph, steps=6) == [1, 2, 4, 5]


def test_integer_refractoriness_and_readout():
    """n_ref = 2 and w = 8: spikes at 1, 4, 7; the readout gets 6 << 6 = 384 a step later and halves: 384, 192, 96, 432."""
    out = LI.of("out", 1, decay_v=2048, precision="integer")
    first, second = Projection.from_dense("in", "n", [[8]]), Projection.from_dense("n", "out", [[6]])
    recording = run(Graph(1e-3, (Input("in", 1), whole(n_ref=2), out), (first, second)))
    assert recording.spikes["n"].step.tolist() == [1, 4, 7]
    assert recording.readouts["out"][:, 0, 0].tolist() == [0, 0, 384, 192, 96, 432, 216, 108]
    assert recording.readouts["out"].dtype == np.int64


def test_strict_runs_raise_what_others_count():
    with pytest.raises(SaturationError, match=r"n\.a 2 times"):
        run(one(ADAPTING, 2), {}, 5, strict=True)
    assert run(one(whole(), 2), strict=True).saturations == {}


# -- runs ----------------------------------------------------------------------------------------------------------


def test_many_samples_run_in_chunks(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(8)
    graph = one(alif(), 1.5)
    spikes = Spikes.from_dense(rng.random((20, 7, 1)) < 0.5, graph.dt)
    whole_run = ReferenceBackend().run(graph, spikes, states=["n"])
    seen = []
    monkeypatch.setattr(reference, "CHUNK", 3)
    chunked = ReferenceBackend().run(graph, spikes, states=["n"], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]
    assert chunked.spikes["n"] == whole_run.spikes["n"]
    np.testing.assert_array_equal(chunked.states["n"]["v"], whole_run.states["n"]["v"])


def test_inputs_that_do_not_fit_are_refused():
    graph = one(lif(), 1.0)
    for dense, dt, message in (
        (np.zeros((3, 1, 2)), 1e-3, "'in' has 2 channels; the graph's has 1"),
        (np.zeros((3, 1, 1)), 2e-3, "'in' has dt 0.002 s; the graph's step is 0.001 s"),
    ):
        with pytest.raises(GraphError, match=message):
            ReferenceBackend().run(graph, Spikes.from_dense(dense, dt))


def test_no_samples_and_no_inputs_are_refused():
    nothing = Spikes.from_events([], [], [], n_samples=0, n_steps=5, n_neurons=1, dt=1e-3)
    with pytest.raises(GraphError, match="a run needs an Input population, at least one sample and one step"):
        ReferenceBackend().run(one(lif(), 1.0), nothing)
    with pytest.raises(GraphError, match="a run needs an Input population"):
        ReferenceBackend().run(Graph(1e-3, (LI.of("y", 1, decay_v=0.5),), ()), {})
