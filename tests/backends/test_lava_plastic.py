"""Three-factor plasticity on Lava: every bit of the reference, in integers and in floats."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from neuromorph.backends.base import HasStepSessions, Kept, Step, StepSession
from neuromorph.backends.lava import LavaBackend, check
from neuromorph.backends.lava.netlist import lower
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import BackendError, GraphError
from neuromorph.graph import ALIF, LI, LIF, FixedPoint, Graph, Input, Plasticity, Projection
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.backends.test_lava import assert_identical, bytecode_of_the_workers, lava
from tests.backends.test_lava_session import marked
from tests.strategies import plastic_graph, random_inputs, third_factors

__all__ = ["bytecode_of_the_workers", "marked"]

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


# Step by step


def act(graph: Graph, rng: np.random.Generator, last: Step | None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What an environment answers to the last step: spikes where neurons fired, rewards by what was read out."""
    whole = graph.precision == "integer"
    fired = 0 if last is None else sum(int(z.sum()) for z in last.spikes.values())
    read = 0.0 if last is None else float(sum(y.sum() for y in last.readouts.values()))
    inputs = {p.name: rng.random((1, p.n)) < 0.3 / (1 + fired / 8) for p in graph.inputs}
    value = np.sin(read + fired) * (fired % 3)
    third = {name: np.full((1, n) if name == "error" else 1, value) * 0.4 for name, n in graph.third_factors.items()}
    return inputs, {name: np.rint(signal * 64).astype(np.int64) if whole else signal for name, signal in third.items()}


def assert_same_loop(graph: Graph, found: StepSession, wanted: StepSession, n_steps: int) -> None:
    rng, last = np.random.default_rng(n_steps), None
    for t in range(n_steps):
        inputs, third = act(graph, rng, last)
        step, last = found.step(inputs, third), wanted.step(inputs, third)
        for part, other in ((step.spikes, last.spikes), (step.readouts, last.readouts)):
            assert part.keys() == other.keys()
            for name, values in other.items():
                assert part[name].dtype == values.dtype
                np.testing.assert_array_equal(part[name], values, err_msg=f"{name} at step {t}")
        for q in graph.plastic if t % 5 == 4 else ():
            learned, other = found.plastic(q.name), wanted.plastic(q.name)
            for x in ("H", "E"):
                np.testing.assert_array_equal(learned[x], other[x], err_msg=f"{q.name} {x} at step {t}")


@lava
@pytest.mark.parametrize("precision", ["integer", "float"])
def test_a_closed_loop_step_by_step(precision, marked):
    """The reward of a step depends on what the network did in the last one; after a reset all begins anew."""
    graph = school(precision)
    names = [q.name for q in graph.plastic]
    backend = LavaBackend()
    assert isinstance(backend, HasStepSessions)
    with backend.step_session(graph) as session, ReferenceBackend().step_session(graph) as wanted:
        assert isinstance(session, StepSession)
        assert not any(session.plastic(name)[x].any() for name in names for x in ("H", "E"))
        for n_steps in (80, 25):
            assert_same_loop(graph, session, wanted, n_steps)
            assert sum(np.abs(session.plastic(name)["H"]).max() > 0 for name in names) == len(names)
            session.reset()
            wanted.reset()
            assert not any(session.plastic(name)["H"].any() for name in names)
        with pytest.raises(GraphError, match="given for"):
            session.step({}, {})
        with pytest.raises(GraphError, match="'nothing' is no plastic projection"):
            session.plastic("nothing")
        assert_same_loop(graph, session, wanted, 5)
        marked.look()
    with pytest.raises(BackendError, match="session is closed"):
        assert_same_loop(graph, session, wanted, 1)


@lava
def test_what_does_not_learn_steps_too():
    """Lava's own LIF and Sparse, delays, adaptive neurons."""
    graph = check.every_process("integer")
    with LavaBackend().step_session(graph) as session, ReferenceBackend().step_session(graph) as wanted:
        for n_steps in (30, 10):
            assert_same_loop(graph, session, wanted, n_steps)
            session.reset()
            wanted.reset()


@lava
def test_a_network_killed_between_steps_is_told(marked):
    graph = check.plastic_processes("integer")
    session = LavaBackend().step_session(graph)
    session.step(*act(graph, np.random.default_rng(0), None))
    marked.look()
    os.kill(marked.worker(), signal.SIGKILL)
    with pytest.raises(BackendError, match="ended with status -9"):
        session.step(*act(graph, np.random.default_rng(0), None))


# Without Lava


def test_a_step_session_has_one_sample(monkeypatch):
    monkeypatch.setattr(LavaBackend, "available", lambda self: None)
    with pytest.raises(BackendError, match="one sample, 2 are asked for; open one session for each"):
        LavaBackend().step_session(school("integer"), n_samples=2)
    with LavaBackend().step_session(Graph(1e-3, (Input("in", 2),), ())) as session:
        assert session.step({"in": np.ones((1, 2), dtype=np.bool_)}).spikes == {}


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
