"""Plastic rules in integers: they change synapses as the floats do, within what rounding explains; scales; refusals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import QuantizationError
from neuromorph.graph import LI, LIF, Graph, Input, Plasticity, Projection
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.quantize_plastic import quantize_third_factors
from neuromorph.spikes import Spikes

LOIHI2 = load_profile("loihi2")


def network(rule: str = "retroactive", third: str = "reward", **changes) -> Graph:
    """Ten inputs, each onto its own neuron, with a weight by far large enough to fire it: both precisions spike alike."""
    names = {"eta": 0.1, "decay_pre": 0.8, "clip": 1.0, "third_factor": third, **changes}
    plasticity = Plasticity(rule, np.linspace(-1, 1, 10), **names)
    q = replace(Projection.from_dense("i", "n", 3 * np.eye(10)), plasticity=plasticity)
    neurons = LIF.of("n", 10, decay_v=0.1, v_th=0.9, gain=1.0, reset="to_value"), LI.of("y", 1, decay_v=0.9)
    read = Projection.from_dense("n", "y", np.full((10, 1), 0.05))
    return Graph(1e-3, (Input("i", 10), *neurons), (q, read))


def inputs(seed: int = 0, steps: int = 200) -> Spikes:
    return Spikes.from_dense(np.random.default_rng(seed).random((steps, 2, 10)) < 0.2, 1e-3)


def traces(graph: Graph, spikes: Spikes, third: dict) -> tuple[np.ndarray, np.ndarray]:
    recording = ReferenceBackend().run(graph, spikes, states=["i->n"], third_factors=third)
    return recording.states["i->n"]["H"], recording.states["i->n"]["E"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["hebbian", "modulated", "retroactive"]), st.sampled_from(["nearest", "stochastic"]))
def test_integers_learn_what_floats_learn(seed: int, rule: str, rounding: str) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rule, "" if rule == "hebbian" else "reward", eta=0.002 if rule == "hebbian" else 0.1, post_offset=0.1)
    signal = {} if rule == "hebbian" else {"reward": np.where(rng.random((200, 2)) < 0.05, rng.choice([-0.5, 0.5], (200, 2)), 0.0)}
    integer, report = quantize(graph, LOIHI2, rounding=rounding, seed=seed)
    (told,) = report.plastic
    h, e = traces(graph, inputs(seed), signal)
    whole_h, whole_e = traces(integer, inputs(seed), quantize_third_factors(integer, signal))
    assert np.abs(h).max() > 0.02  # below: a clip may be reached by one and just missed by the other
    assert np.abs(whole_h / told.plastic_scale - h).max() < 0.03 * np.abs(h).max() + 0.04
    if rule == "retroactive":
        assert np.abs(whole_e / told.eligibility_scale - e).max() < 0.03 * np.abs(e).max() + 0.01


def test_traces_and_eligibility_cannot_saturate() -> None:
    """All inputs fire at every step."""
    graph = network()
    integer, _ = quantize(graph, LOIHI2)
    always = Spikes.from_dense(np.ones((300, 1, 10), np.bool_), 1e-3)
    third = {"reward": np.zeros((300, 1), np.int64)}
    recording = ReferenceBackend().run(integer, always, third_factors=third)
    assert not {name for name in recording.saturations if name.startswith("i->n.")}


def test_effective_weights_keep_their_scale() -> None:
    """alpha * H in integers is what alpha * H is in floats, in units of the target's potential."""
    graph = network()
    integer, report = quantize(graph, LOIHI2)
    (told,), rule = report.plastic, integer.projection("i->n").plasticity
    units = rule.alpha * told.plastic_scale * 2.0**rule.fixed.alpha_exp * 64 / float(integer.metadata["scale.n"])
    assert units == pytest.approx(graph.projection("i->n").plasticity.alpha, abs=0.01)
    assert told.alpha_error < 0.01
    assert set(told.errors) == {"decay_pre", "eta"}
    assert report.to_dict()["plastic"][0]["name"] == "i->n"


def test_a_readout_that_modulates() -> None:
    """M is cut to whole units of 1/198, not rounded, so that H falls behind a little as it grows."""
    graph = network("modulated", "y", third_limit=0.5)
    integer, report = quantize(graph, LOIHI2)
    (told,) = report.plastic
    h, _ = traces(graph, inputs(), {})
    whole, _ = traces(integer, inputs(), {})
    assert np.abs(h).max() > 0.3
    assert np.abs(whole / told.plastic_scale - h).max() < 0.1
    assert 64 <= told.third_scale * 0.5 <= 127


def test_plastic_synapses_of_no_weight_stay() -> None:
    graph = network()
    (q, read) = graph.projections
    tiny = replace(q, weights=np.where(np.arange(10) == 3, 1e-9, q.weights))
    integer, report = quantize(graph.replace(projections=(tiny, read)), LOIHI2)
    assert integer.projection("i->n").n_synapses == 10
    assert report.lost == 0


def test_what_cannot_be_told() -> None:
    with pytest.raises(QuantizationError, match="clip 0 is 0 integer units"):
        quantize(network(clip=0.0), LOIHI2)
    integer, _ = quantize(network(), LOIHI2)
    with pytest.raises(QuantizationError, match=r"'error': .* no scale for it .they have: reward"):
        quantize_third_factors(integer, {"error": np.zeros((1, 1))})
