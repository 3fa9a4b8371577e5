"""Few alphas in place of one a synapse: what is left, that nothing else changes, and that Loihi's rules then exist."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.lava.learning_rule import compile_rule, rules_of
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import BackendError, QuantizationError
from neuromorph.graph import LIF, Graph, Input, Plasticity, Projection
from neuromorph.hardware import load_profile
from neuromorph.quantize import quantize
from neuromorph.quantize_plastic import limit_eligibility, quantize_third_factors
from neuromorph.share_alpha import share_alpha
from neuromorph.spikes import Spikes

LOIHI2 = load_profile("loihi2")
REWARDS = {"reward": np.sign(np.sin(np.arange(100.0)))[:, None]}


def network(alpha: np.ndarray, **changes) -> Graph:
    """Eight inputs onto five neurons, all to all."""
    rng = np.random.default_rng(2)
    q = Projection.from_dense("i", "n", rng.normal(0, 0.5, (8, 5)))
    names = {"eta": 0.05, "decay_pre": 0.8, "clip": 1.0, "third_factor": "reward", "post_offset": 0.1, **changes}
    q = replace(q, plasticity=Plasticity("retroactive", alpha, **names))
    return Graph(1e-3, (Input("i", 8), LIF.of("n", 5, decay_v=0.9, v_th=0.5)), (q,))


def spikes() -> Spikes:
    return Spikes.from_dense(np.random.default_rng(0).random((100, 1, 8)) < 0.3, 1e-3)


def weights_of(graph: Graph, what: str) -> np.ndarray:
    total = np.zeros((8, 5))
    for q in graph.projections:
        values = q.weights if what == "w" else np.zeros(q.n_synapses) if q.plasticity is None else q.plasticity.alpha
        np.add.at(total, (q.rows, q.indices), values)
    return total


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_each_synapse_keeps_its_weight_and_gets_the_nearest_alpha(seed: int, levels: int) -> None:
    graph = network(np.random.default_rng(seed).normal(0, 1, 40))
    shared, (report,) = share_alpha(graph, levels)
    np.testing.assert_array_equal(weights_of(shared, "w"), weights_of(graph, "w"))
    assert all(len(np.unique(q.plasticity.alpha)) == 1 for q in shared.plastic)
    alphas = np.array([0.0, *report.alphas])
    sizes = np.unique(np.abs(alphas[alphas != 0]))
    assert len(sizes) <= levels
    np.testing.assert_allclose(np.log2(sizes / sizes[0]) % 1, 0, atol=1e-12)
    given_alpha, found = weights_of(graph, "alpha"), weights_of(shared, "alpha")
    allowed = np.concatenate([sizes, -sizes, [0.0]])
    np.testing.assert_allclose(np.abs(found - given_alpha), np.abs(given_alpha[..., None] - allowed).min(-1), atol=1e-12)
    assert report.error == pytest.approx(np.linalg.norm(found - given_alpha) / np.linalg.norm(given_alpha))
    assert report.fixed == np.count_nonzero(found == 0)


def test_alphas_that_are_levels_already_change_nothing_but_the_form() -> None:
    alpha = np.random.default_rng(1).choice([-1.0, -0.5, 0.0, 0.5, 1.0], 40)
    graph = network(alpha)
    shared, (report,) = share_alpha(graph, 2)
    assert report.error == 0
    assert report.alphas == (-1.0, -0.5, 0.5, 1.0)
    assert [q.name for q in shared.projections] == ["i->n.alpha0", "i->n.alpha1", "i->n", "i->n.alpha3", "i->n.alpha4"]
    before, after = (ReferenceBackend().run(g, spikes(), third_factors=REWARDS) for g in (graph, shared))
    assert before.spikes["n"].to_dense().any()
    np.testing.assert_array_equal(before.spikes["n"].to_dense(), after.spikes["n"].to_dense())


def test_one_alpha_stays_as_it_is() -> None:
    graph = network(np.full(40, 0.7))
    shared, report = share_alpha(graph)
    assert report == ()
    assert shared.digest() == graph.digest()


def test_more_levels_never_cost_more() -> None:
    graph = network(np.random.default_rng(5).normal(0, 1, 40))
    errors = [share_alpha(graph, levels)[1][0].error for levels in (1, 2, 3, 4, 5)]
    assert errors == sorted(errors, reverse=True)


def test_loihi_can_express_what_is_shared_and_bounded() -> None:
    """Retroactive rule, an alpha a synapse: refused; shared, its eligibilities bounded where they lie: compiled."""
    graph = network(np.random.default_rng(3).normal(0, 1, 40))
    integer, _ = quantize(graph, LOIHI2)
    with pytest.raises(BackendError, match="alpha must be the same"):
        compile_rule(integer, integer.plastic[0])
    integer, _ = quantize(share_alpha(graph)[0], LOIHI2)
    with pytest.raises(BackendError, match="coefficient"):  # E could grow far beyond what it reaches, so a tag's unit is coarse
        rules_of(integer)
    names = [q.name for q in integer.plastic]
    seen = ReferenceBackend().run(integer, spikes(), states=names, third_factors=quantize_third_factors(integer, REWARDS))
    bounded = limit_eligibility(integer, {name: seen.states[name]["E"] for name in names})
    assert set(rules_of(bounded)) == set(names)
    for name in names:
        e = np.abs(seen.states[name]["E"])
        assert bounded.projection(name).plasticity.fixed.eligibility_max == int(np.quantile(e[e > 0], 0.99))


def test_refusals() -> None:
    graph = network(np.random.default_rng(3).normal(0, 1, 40))
    with pytest.raises(QuantizationError, match="levels is 0"):
        share_alpha(graph, 0)
    integer, _ = quantize(graph, LOIHI2)
    with pytest.raises(QuantizationError, match="floats"):
        share_alpha(integer)
    with pytest.raises(QuantizationError, match="'other' has no rule in integers; those that have: i->n"):
        limit_eligibility(integer, {"other": np.ones(3)})
    with pytest.raises(QuantizationError, match="E is 0 throughout"):
        limit_eligibility(integer, {"i->n": np.zeros(3)})
    with pytest.raises(QuantizationError, match="share is 0"):
        limit_eligibility(integer, {}, 0.0)
