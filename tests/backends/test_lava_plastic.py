"""Three-factor plasticity on Lava: every bit of the reference, in integers and in floats."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph.backends.base import Kept
from neuromorph.backends.lava import LavaBackend
from neuromorph.backends.lava.netlist import lower
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import BackendError
from neuromorph.graph import ALIF, LI, LIF, FixedPoint, Graph, Input, Plasticity, Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.backends.test_lava import assert_identical, bytecode_of_the_workers, lava
from tests.strategies import plastic_graph, random_inputs, third_factors

__all__ = ["bytecode_of_the_workers"]

STEPS = 520
RULES = (
    ("in", "lif", "retroactive", "reward"),
    ("lif", "lif", "modulated", "critic"),
    ("in", "alif", "modulated", "error"),
    ("lif", "alif", "hebbian", ""),
    ("alif", "alif", "retroactive", "critics"),
    ("alif", "lif", "modulated", "reward"),
)
"""Plastic projections: source, target, rule, third factor: signals "reward" (one value) and "error" (one a neuron), two readouts."""


def learning(rng: np.random.Generator, q: Projection, rule: str, third: str, number: int) -> Projection:
    """`q` plastic, integers with nearest and stochastic rounding in turn."""
    if q.weights.dtype == np.float64:
        alpha = rng.normal(size=q.n_synapses) / 8
        made = Plasticity(rule, alpha, 0.2, 0.8, 0.5, third, 0.9, 0.6 * (number % 2), 0.1)
        return replace(q, plasticity=made)
    shift = {"hebbian": 13, "modulated": 10, "retroactive": 9}[rule]
    rounding = ("nearest", "stochastic")[number // 2 % 2]
    fixed = FixedPoint(-6, 64, 16, 127, 7 if third.startswith("critic") else 3, shift, number % 3, 900, rounding, 10 + number)
    alpha = rng.integers(-255, 256, q.n_synapses)
    return replace(q, plasticity=Plasticity(rule, alpha, 900, 3300, 200, third, 60, 2500 * (number % 2), 2, fixed))


def school(precision: str) -> Graph:
    """Every rule, signals and readouts as third factors, fixed projections with delays beside the plastic ones."""
    rng = np.random.default_rng(11)
    whole = precision == "integer"
    decay, threshold = (3700, 150) if whole else (0.9, 0.6)
    common = {"decay_v": decay, "gain": 1, "precision": precision}
    populations = (
        Input("in", 7),
        LIF.of("lif", 6, v_th=threshold, n_ref=1, **common),
        ALIF.of("alif", 9, v_th=threshold, decay_a=4000 if whole else 0.97, kappa=600 if whole else 0.04, **common),
        LI.of("critic", 1, **common),
        LI.of("critics", 9, **common),
    )
    n = {p.name: p.n for p in populations}

    def project(source: str, target: str, low: int, high: int, delay: int = 1, **named) -> Projection:
        weights = rng.integers(low, high, (n[source], n[target])) * 2
        delays = rng.integers(1, delay + 1, weights.shape)
        return Projection.from_dense(source, target, weights if whole else weights / 256, delays=delays, **named)

    drives = {("in", "lif"): (0, 60), ("in", "alif"): (0, 50)}
    plastic = [
        learning(rng, project(source, target, *drives.get((source, target), (-25, 20))), rule, third, number)
        for number, (source, target, rule, third) in enumerate(RULES)
    ]
    fixed = (
        project("in", "lif", -10, 20, 5, name="delayed"),
        project("lif", "alif", -10, 12, 3, name="late", weight_exp=1 if whole else 0),
        project("lif", "critic", -15, 15),
        project("alif", "critics", -20, 20, 2),
    )
    return Graph(1e-3, populations, (*plastic[:3], fixed[0], *plastic[3:], *fixed[1:]))


def lesson(graph: Graph, seed: int, n_steps: int, n_samples: int) -> tuple[Spikes, dict[str, np.ndarray]]:
    """Spikes; a reward now and then, an error for each neuron in every step."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(rng, graph, n_samples, n_steps)
    reward = rng.normal(size=(n_steps, n_samples)) * (rng.random((n_steps, n_samples)) < 0.1)
    error = rng.normal(size=(n_steps, n_samples, 9)) / 4
    signals = {"reward": reward, "error": error}
    whole = graph.precision == "integer"
    return inputs, {name: np.rint(signal * 64).astype(np.int64) if whole else signal for name, signal in signals.items()}


def everything(graph: Graph) -> list[str]:
    return [*(q.name for q in graph.plastic), *(p.name for p in graph.neurons)]


def assert_lively(graph: Graph, recording: Recording) -> None:
    """Neurons fire, neither rarely nor always, and every rule moves H, also to its clip."""
    for name, spikes in recording.spikes.items():
        assert 0.03 < len(spikes) / np.prod(spikes.shape) < 0.6, name
    for q in graph.plastic:
        traces = recording.states[q.name]
        h, clip = traces["H"], q.plasticity.clip
        assert len(np.unique(h)) > 50, q.name
        assert np.abs(h).max() == clip, q.name
        assert traces["E"].any() == (q.plasticity.rule == "retroactive")


@lava
@pytest.mark.parametrize("precision", ["integer", "float"])
def test_every_rule_bit_for_bit(precision):
    """520 steps of two samples, then of one sample that begins anew; floats round as the reference's too."""
    graph = school(precision)
    with LavaBackend().session(graph, states=everything(graph)) as session:
        for seed, n_steps, n_samples in ((0, STEPS, 2), (1, 60, 1)):
            inputs, third = lesson(graph, seed, n_steps, n_samples)
            wanted = ReferenceBackend().run(graph, inputs, states=everything(graph), third_factors=third)
            if n_steps == STEPS:
                assert_lively(graph, wanted)
            found = session.run(inputs, third_factors=third)
            assert_identical(found, wanted)
            assert (found.backend, list(found.states)) == ("lava", [p.name for p in graph.neurons] + [q.name for q in graph.plastic])
    if precision == "integer":
        assert {name.rsplit(".", 1)[1] for name in wanted.saturations} >= {"M", "pre"}
        assert wanted.saturations


@lava
@pytest.mark.parametrize(("precision", "seed"), [("integer", 3), ("float", 4)])
def test_random_graphs(precision, seed):
    rng = np.random.default_rng(seed)
    graph = plastic_graph(rng, precision=precision)
    inputs, third = random_inputs(rng, graph, 3, 40), third_factors(rng, graph, 3, 40)
    wanted = ReferenceBackend().run(graph, inputs, states=everything(graph), third_factors=third)
    assert all(wanted.states[q.name]["H"].any() for q in graph.plastic)
    assert_identical(LavaBackend().run(graph, inputs, states=everything(graph), third_factors=third), wanted)


# Without Lava


def kinds(graph: Graph) -> set[str]:
    return {p.kind for p in lower(graph, Kept((), ())).processes}


def test_floats_that_learn_go_to_our_own_processes():
    """Lava's Sparse and LIF may round the last digit otherwise; learning would carry it on. Integers have no such digit."""
    assert kinds(school("float")) == {"FileSource", "FileSignal", "AdaptiveLIF", "Readout", "PlasticSparse", "DelayedSparse"}
    assert kinds(school("integer")) == {"FileSource", "FileSignal", "AdaptiveLIF", "Readout", "PlasticSparse", "DelayedSparse", "Sparse"}


def test_plastic_sums_beyond_32_bits_are_refused():
    fixed = FixedPoint(10, 64, 16, 127, 0, 8, 0, 2**15 - 1)
    rule = Plasticity("hebbian", np.full(300, 255), 900, 3300, 2**15 - 1, decay_post=0, post_offset=0, third_limit=0, fixed=fixed)
    q = replace(Projection.from_dense("in", "lif", np.full((300, 1), 2)), plasticity=rule)
    graph = Graph(1e-3, (Input("in", 300), LIF.of("lif", 1, decay_v=3000, v_th=50, precision="integer")), (q,))
    with pytest.raises(BackendError, match=r"'lif' can sum to \d+ in one step"):
        lower(graph, Kept((), ()))
