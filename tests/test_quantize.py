"""Quantisation: numbers worked by hand, ranges, idempotence, refusals with their remedy."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends import backend
from neuromorph.errors import QuantizationError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.hardware import load_profile
from neuromorph.quantize import CANDIDATES, choose_scale, largest_scale, quantize, quantize_population, quantize_projection
from tests.strategies import graphs, random_graph, random_inputs

LOIHI1, LOIHI2 = load_profile("loihi1"), load_profile("loihi2")


def test_projection_by_hand() -> None:
    """scale 6400: input units 100 * gain * weight = 100, -250, 700, 3; the largest needs exponent ceil(log2(700/254)) = 2:
    25, -62.5, 175, 0.75 -> nearest even 24 (ties to even of 12.5), -62 (of -31.25), 176 (of 87.5 -> 88), 0 (of 0.375)."""
    weights = np.array([[1.0, -2.5], [7.0, 0.03]])
    q, report = quantize_projection(Projection.from_dense("a", "b", weights), np.ones(2), 6400.0, LOIHI2)
    assert q.weight_exp == 2
    assert q.to_dense(2).tolist() == [[24, -62], [176, 0]]
    assert (report.synapses, report.lost, report.clipped) == (3, 1, 0)
    assert report.scale == 6400 / 64 / 4
    error = np.linalg.norm(np.array([96 - 100, -248 + 250, 704 - 700, 0 - 3])) / np.linalg.norm([100, 250, 700, 3])
    assert report.relative_error == pytest.approx(error)


def test_one_sign_keeps_all_eight_bits() -> None:
    """Declared excitatory: odd numbers and 255 are used; the same weights undeclared are mixed and even."""
    weights = np.array([[2.55, 0.37]])
    signed, _ = quantize_projection(Projection.from_dense("a", "b", weights, signs=1), np.ones(2), 6400.0, LOIHI2)
    mixed, _ = quantize_projection(Projection.from_dense("a", "b", weights), np.ones(2), 6400.0, LOIHI2)
    assert (signed.weights.tolist(), signed.weight_exp) == ([255, 37], 0)
    assert (mixed.weights.tolist(), mixed.weight_exp) == ([128, 18], 1)


def test_gain_of_the_target_is_folded_in() -> None:
    q, _ = quantize_projection(Projection.from_dense("a", "b", np.array([[2.0, 2.0]])), np.array([0.5, 0.25]), 6400.0, LOIHI2)
    assert (q.weights * 2.0**q.weight_exp).tolist() == [100, 50]


def test_constants_by_hand() -> None:
    """exp(-1/20) = 0.951229 -> 3896.2 / 4096; exp(-1/5) = 0.818731 -> 3353.5; exp(-1/700) -> 4090.15.

    kappa = 1.8 (1 - 0.998572) * 1000 = 2.5696 -> 3; v_th = 64400 / 64 = 1006.25 -> 1006.
    """
    p = ALIF.from_time_constants("p", 1, dt=1e-3, tau_m=20e-3, v_th=64.4, tau_a=0.7, beta=1.8, tau_s=5e-3, n_ref=3, bias=0.0104)
    q = quantize_population(p, 1000.0, LOIHI2)
    assert isinstance(q, ALIF)
    assert (q.decay_v[0], q.decay_u[0], q.decay_a[0]) == (3896, 3354, 4090)
    assert q.v_th[0] == 1006
    assert q.kappa[0] == 3
    assert q.bias[0] == 10
    assert q.n_ref[0] == 3


def test_long_time_constants_never_become_no_decay() -> None:
    q = quantize_population(LI.of("y", 1, decay_v=0.99999), 1.0, LOIHI2)
    assert q.decay_v[0] == 4095


def test_threshold_leaves_room_for_sixteen_thresholds() -> None:
    p = LIF.of("p", 2, decay_v=0.9, v_th=np.array([0.3, 1.7]))
    graph = Graph(1e-3, (Input("in", 2), p), (Projection.from_dense("in", "p", np.ones((2, 2))),))
    scale = choose_scale(graph, p, LOIHI2)
    assert 2**12 * 64 < scale * 1.7 <= 2**13 * 64


@settings(max_examples=30, deadline=None)
@given(graph=graphs(resets=("subtract", "to_value"), per_neuron=True))
def test_every_float_graph_becomes_a_valid_integer_graph(graph: Graph) -> None:
    """Graph validates every range; the reported error is the true one; quantising twice is quantising once."""
    graph = _reset_to_zero(graph)
    integer, report = quantize(graph, LOIHI2)
    assert integer.precision == "integer"
    again, nothing = quantize(integer, LOIHI2)
    assert again == integer
    assert nothing.lost == 0
    for found in report.projections:
        before, after = graph.projection(found.name), integer.projection(found.name)
        n = graph.population(before.target).n
        scale = float(integer.metadata[f"scale.{before.target}"]) / 64
        wanted = before.to_dense(n) * graph.population(before.target).gain * scale
        got = after.to_dense(n) * 2.0**after.weight_exp
        driven = before.to_dense(n) * graph.population(before.target).gain
        assert after.to_dense(n) == pytest.approx(driven * found.scale, abs=1 + 1e-9)
        assert found.lost == np.count_nonzero(before.weights) - np.count_nonzero(after.weights) + np.count_nonzero(before.weights == 0)
        assert found.relative_error == pytest.approx(np.linalg.norm(got - wanted) / (np.linalg.norm(wanted) or 1), abs=1e-12)
        assert np.abs(got - wanted).max() <= 2.0**after.weight_exp * (1 if after.sign_mode == "mixed" else 0.5) * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(graph=graphs(resets=("subtract", "to_value"), per_neuron=True), few=st.booleans(), block=st.sampled_from([1, 7, 2**15]))
def test_the_scale_is_that_of_the_plain_definition(graph: Graph, few: bool, block: int) -> None:
    """The first of all candidates, each quantised in full, whose error is least; also where weights of a few values make ties."""
    graph = _reset_to_zero(graph)
    if few:
        graph = graph.replace(projections=tuple(dataclasses.replace(q, weights=np.sign(q.weights) * 0.5) for q in graph.projections))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuromorph.quantize.SYNAPSES", block)
        found = {p.name: choose_scale(graph, p, LOIHI2) for p in graph.neurons}
    for p in graph.neurons:
        candidates = largest_scale(graph, p, LOIHI2) * 2 ** (-np.arange(CANDIDATES) / CANDIDATES)
        incoming = [q for q in graph.incoming(p.name) if q.weights.any()]
        wanted = candidates[0] if isinstance(p, LI) else min(candidates, key=lambda s: plain_rounding(p, incoming, float(s)))
        assert found[p.name] == wanted


def plain_rounding(p: LIF, incoming: list[Projection], scale: float) -> float:
    error = sum(quantize_projection(q, p.gain, scale, LOIHI2)[1].relative_error ** 2 for q in incoming)
    threshold = np.rint(scale * p.v_th / 64) * 64 / scale / p.v_th - 1
    return error + float((threshold**2).max())


def test_results_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a readout's scale, whose sums are those of one pass, and where synapses are lost."""
    rng = np.random.default_rng(1)
    graph = _reset_to_zero(random_graph(rng, max_neurons=60))
    whole, report = quantize(graph, LOIHI2)
    monkeypatch.setattr("neuromorph.quantize.SYNAPSES", 5)
    blocks, same = quantize(graph, LOIHI2)
    assert blocks == whole
    assert same == report


def _reset_to_zero(graph: Graph) -> Graph:
    from neuromorph.graph.populations import replace

    changed = tuple(replace(p, v_reset=np.zeros(p.n)) if isinstance(p, LIF) else p for p in graph.populations)
    return graph.replace(populations=changed)


@pytest.mark.parametrize("seed", range(5))
def test_integers_fire_nearly_as_floats(seed: int) -> None:
    """Not a promise of identity: total spike counts of a random net move by less than a fifth."""
    rng = np.random.default_rng(seed)
    graph = _reset_to_zero(random_graph(rng, max_neurons=24))
    inputs = random_inputs(rng, graph, n_samples=8, n_steps=60)
    integer, _ = quantize(graph, LOIHI2)
    a, b = (sum(len(s) for s in backend("reference").run(g, inputs).spikes.values()) for g in (graph, integer))
    assert a > 100
    assert abs(a - b) < 0.2 * a


@given(factor=st.sampled_from([2.0**-6, 0.5, 4.0, 2.0**10]))
@settings(max_examples=4, deadline=None)
def test_units_of_v_do_not_matter(factor: float) -> None:
    """Multiplying every weight and threshold by one power of two gives the same integers."""

    def graph(unit: float) -> Graph:
        rng = np.random.default_rng(5)
        p = ALIF.of("p", 6, decay_v=0.9, v_th=unit, decay_a=0.99, kappa=0.1 * unit, gain=1.0)
        return Graph(1e-3, (Input("in", 4), p), (Projection.from_dense("in", "p", unit * rng.normal(size=(4, 6))),))

    (a, _), (b, _) = quantize(graph(1.0), LOIHI2), quantize(graph(factor), LOIHI2)
    assert a.projections[0].weights.tolist() == b.projections[0].weights.tolist()
    assert a.populations[1].v_th.tolist() == b.populations[1].v_th.tolist()
    assert a.populations[1].kappa.tolist() == b.populations[1].kappa.tolist()


def _hidden(**options) -> Graph:
    p = ALIF.of("p", 2, decay_v=0.9, v_th=1.0, decay_a=0.99, kappa=0.1, **options)
    return Graph(1e-3, (Input("in", 2), p), (Projection.from_dense("in", "p", np.ones((2, 2))),))


def test_loihi1_refuses_threshold_adaptation_and_tells_the_remedy() -> None:
    with pytest.raises(QuantizationError, match=r"'p'.*no adaptation by threshold.*adaptation='current', reset='to_value'.*loihi2"):
        quantize(_hidden(), LOIHI1)
    with pytest.raises(QuantizationError, match=r"cannot reset by 'subtract'.*reset='to_value'"):
        quantize(_hidden(adaptation="current"), LOIHI1)
    integer, _ = quantize(_hidden(adaptation="current", reset="to_value"), LOIHI1)
    assert integer.precision == "integer"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (_hidden(n_ref=1000), "n_ref 1000 exceeds"),
        (_hidden(v_reset=0.5, reset="to_value"), "v_reset is 0.5"),
        (_hidden(bias=1.9e5), "Use a smaller bias"),
    ],
)
def test_what_the_chip_cannot_hold_is_refused(graph: Graph, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        quantize(graph, LOIHI2)


def test_delays_beyond_the_chip_are_refused() -> None:
    p = LIF.of("p", 1, decay_v=0.9, v_th=1.0)
    graph = Graph(1e-3, (Input("in", 1), p), (Projection.from_dense("in", "p", np.ones((1, 1)), delays=99),))
    with pytest.raises(QuantizationError, match="delay 99 exceeds"):
        quantize(graph, LOIHI2)


def test_a_profile_that_is_no_chip_is_refused() -> None:
    with pytest.raises(QuantizationError, match="names no neuron forms"):
        quantize(_hidden(), load_profile("cmos45_fp32"))


def test_report_tells_how_many_settings_there_are_and_a_core_allows() -> None:
    """Three time constants, two refractory periods and four thresholds; nothing is clustered. One less than the profile's 32 and 8."""
    p = LIF.of("p", 4, decay_v=[0.8, 0.9, 0.9, 0.95], n_ref=[1, 1, 2, 1], v_th=[1.0, 1.1, 1.2, 1.3], reset="to_value")
    y = LI.of("y", 2, decay_v=[0.9, 0.8])
    projections = Projection.from_dense("in", "p", np.ones((2, 4))), Projection.from_dense("p", "y", np.ones((4, 2)))
    graph = Graph(1e-3, (Input("in", 2), p, y), projections)
    integer, report = quantize(graph, LOIHI1)
    assert [(q.settings, q.thresholds) for q in report.populations] == [(4, 4), (2, 1)]
    assert (report.settings_allowed, report.thresholds_allowed) == (31, 7)
    assert len(np.unique(integer.neurons[0].decay_v)) == 3
    assert quantize(graph, LOIHI2)[1].settings_allowed is None
    assert report.to_dict()["populations"][0]["settings"] == 4
