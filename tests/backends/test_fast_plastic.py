"""Plastic graphs on `fast` equal `reference` in every bit: H, E, spikes, readouts, saturations, counts; whole runs and step by step."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.base import HasStepSessions, StepSession
from neuromorph.backends.fast import FastBackend, backend
from neuromorph.backends.fast.simulator import Simulator
from neuromorph.backends.fast.tables import lane_type
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import GraphError, SaturationError
from neuromorph.graph import LI, LIF, FixedPoint, Graph, Input, Plasticity, Projection
from neuromorph.recording import Recording
from neuromorph.simd import share as sharing
from neuromorph.spikes import Spikes
from tests.backends.test_fast import counted, equal, rough
from tests.strategies import plastic_graph, random_graph, random_inputs, third_factors

RULES = ("hebbian", "modulated", "retroactive")


def recorded(graph: Graph) -> list[str]:
    return [p.name for p in graph.neurons] + [q.name for q in graph.plastic]


def same(found: Recording, wanted: Recording) -> None:
    """Everything is equal; H and E also in the sign of a zero."""
    equal(found, wanted)
    for name, traces in wanted.states.items():
        for x, trace in traces.items():
            assert found.states[name][x].dtype == trace.dtype
            if x in "HE":
                assert np.array_equal(found.states[name][x].view(np.int64), trace.view(np.int64))


def check(graph: Graph, x: Spikes, third: dict[str, np.ndarray]) -> Recording:
    """Hold a run, one that only counts, and a step session against the reference; gives the reference's."""
    wanted = ReferenceBackend().run(graph, x, states=recorded(graph), third_factors=third)
    same(FastBackend().run(graph, x, states=recorded(graph), third_factors=third), wanted)
    counted(FastBackend().summarise(graph, x, window=10, third_factors=third), graph, x, wanted)
    stepped(graph, {"in": x}, third, wanted)
    return wanted


def stepped(graph: Graph, inputs: dict[str, Spikes], third: dict[str, np.ndarray], wanted: Recording) -> None:
    """A step session brings what the run brought, and again after a reset."""
    dense = {name: x.to_dense() for name, x in inputs.items()}
    spikes = {name: z.to_dense() for name, z in wanted.spikes.items()}
    with FastBackend().step_session(graph, n_samples=wanted.n_samples) as session:
        for _ in range(2):
            for t in range(wanted.n_steps):
                names = sorted(third, reverse=bool(t % 2))  # the order in which they are given is of no account
                step = session.step({name: z[t] for name, z in dense.items()}, {name: third[name][t] for name in names})
                assert step.spikes.keys() == spikes.keys()
                assert all(np.array_equal(z, spikes[name][t]) and z.dtype == np.bool_ for name, z in step.spikes.items())
                assert step.readouts.keys() == wanted.readouts.keys()
                assert all(np.array_equal(y, wanted.readouts[name][t]) for name, y in step.readouts.items())
            for q in graph.plastic:
                for name, found in session.plastic(q.name).items():
                    trace = wanted.states[q.name][name][-1]
                    assert found.dtype == trace.dtype
                    assert np.array_equal(found, trace)
            session.reset()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(RULES),
    st.sampled_from(["float", "integer"]),
    st.sampled_from(["nearest", "stochastic"]),
    st.booleans(),
)
def test_random_graphs(seed: int, rule: str, precision: str, rounding: str, modulator: bool) -> None:
    rng = np.random.default_rng(seed)
    graph = plastic_graph(rng, rule=rule, rounding=rounding, modulator=modulator, precision=precision, max_neurons=20)
    if precision == "float":
        graph = rough(rng, graph)
    check(graph, random_inputs(rng, graph, 3, 30), third_factors(rng, graph, 3, 30))


@pytest.mark.parametrize(("precision", "rule"), [("float", "retroactive"), ("integer", "retroactive"), ("integer", "hebbian")])
def test_many_steps(precision: str, rule: str) -> None:
    rng = np.random.default_rng(7)
    graph = plastic_graph(rng, rule=rule, rounding="stochastic", modulator=False, precision=precision, max_neurons=12)
    wanted = check(graph, random_inputs(rng, graph, 2, 600), third_factors(rng, graph, 2, 600))
    assert all(wanted.states[q.name]["H"][-1].any() for q in graph.plastic)


def delayed(rng: np.random.Generator, graph: Graph) -> Graph:
    """With delays of 1 to 6 steps on the projections that are fixed."""
    return graph.replace(
        projections=tuple(replace(q, delays=rng.integers(1, 7, q.n_synapses)) if q.plasticity is None else q for q in graph.projections)
    )


@pytest.mark.parametrize("precision", ["float", "integer"])
@pytest.mark.parametrize("seed", range(3))
def test_plastic_beside_delays(precision: str, seed: int) -> None:
    """Populations of more than a word; plastic and fixed projections onto one population, in any order."""
    rng = np.random.default_rng(seed)
    graph = delayed(rng, plastic_graph(rng, precision=precision, max_neurons=70))
    if precision == "float":
        graph = rough(rng, graph)
    (q, *_) = graph.plastic
    fixed = replace(q, name="beside", plasticity=None, delays=rng.integers(1, 4, q.n_synapses))
    order = rng.permutation(len(graph.projections) + 1)
    graph = graph.replace(projections=tuple([*graph.projections, fixed][i] for i in order))
    assert check(graph, random_inputs(rng, graph, 4, 40), third_factors(rng, graph, 4, 40)).spikes["hidden0"].counts().sum() > 100


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_rows_with_holes_and_lists_of_targets(precision: str) -> None:
    """Sparse rows are lists, others have holes; some have no synapse; some synapses are of weight or alpha 0, or of both."""
    rng = np.random.default_rng(3)
    graph = plastic_graph(rng, rule="retroactive", rounding="stochastic", modulator=False, precision=precision, max_neurons=80)
    (number,) = {q.weights.dtype for q in graph.projections}
    projections = []
    for q in graph.projections:
        if q.plasticity is not None:
            share = rng.choice([0.0, 0.05, 0.9], (q.n_source, 1), p=[0.2, 0.5, 0.3])
            mask = rng.random((q.n_source, graph.population(q.target).n)) < share
            n = int(mask.sum())
            weights, alpha = (rng.choice(values, n) * (rng.random(n) < 0.7) for values in (q.weights, q.plasticity.alpha))
            indptr = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64)
            rule = replace(q.plasticity, alpha=alpha.astype(number))
            synapses = {"indptr": indptr, "indices": np.nonzero(mask)[1], "weights": weights.astype(number), "delays": np.ones(n, np.int64)}
            q = replace(q, **synapses, signs=None if q.signs is None else np.resize(q.signs, n), plasticity=rule)
        projections.append(q)
    graph = graph.replace(projections=tuple(projections))
    tables = Simulator(graph, "fast").rules
    assert tables is not None
    assert (tables.target[tables.size > 0] < 0).any()
    assert (tables.target[tables.size > 16] >= 0).any()
    check(graph, random_inputs(rng, graph, 3, 40), third_factors(rng, graph, 3, 40))


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_third_factors_of_every_width(precision: str) -> None:
    """A readout as wide as the target, one signal for two targets of different sizes, and one of a single column."""
    rng = np.random.default_rng(5)
    whole = precision == "integer"
    sizes, unit = {"a": 20, "b": 37, "c": 33}, {"precision": "integer"} if whole else {}
    neurons = [LIF.of(name, n, decay_v=3000 if whole else 0.7, v_th=600 if whole else 1.0, **unit) for name, n in sizes.items()]
    readout = LI.of("y", 37, decay_v=3500 if whole else 0.85, **unit)
    fixed = FixedPoint(-7, 64, 16, 127, 8, 9, 1, 2**15 - 1, "stochastic", seed=5) if whole else None
    numbers = {"eta": 0.2, "decay_pre": 0.8, "clip": 0.5}
    if whole:
        numbers = {"eta": 900, "decay_pre": 3000, "clip": 200, "third_limit": 100, "decay_post": 0, "post_offset": 0}

    def project(source: str, n: int, target: str, m: int, third: str = "") -> Projection:
        weights = 2 * rng.integers(-60, 100, (n, m)) if whole else rng.normal(0.1, 0.4, (n, m))
        q = Projection.from_dense(source, target, weights)
        if not third:
            return q
        alpha = rng.integers(-200, 200, q.n_synapses) if whole else rng.normal(0, 0.3, q.n_synapses)
        return replace(q, plasticity=Plasticity("retroactive", alpha, third_factor=third, fixed=fixed, **numbers))

    projections = (
        *(project("in", 9, *target, third) for target, third in zip(sizes.items(), ("shared", "shared", "single"))),
        project("b", 37, "b", 37, "y"),
        project("b", 37, "y", 37),
    )
    graph = Graph(1e-3, (Input("in", 9), *neurons, readout), projections)
    assert graph.third_factors == {"shared": 37, "single": 33}
    x = random_inputs(rng, graph, 3, 50)
    third = {"shared": rng.normal(0, 0.7, (50, 3, 37)), "single": rng.normal(0, 0.7, (50, 3))}
    check(graph, x, {name: np.rint(90 * m).astype(np.int64) if whole else m for name, m in third.items()})


def test_batches_and_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    graph = plastic_graph(rng, rule="retroactive", rounding="stochastic", modulator=False, precision="integer", max_neurons=15)
    x, third = random_inputs(rng, graph, 45, 25), third_factors(rng, graph, 45, 25)
    wanted = ReferenceBackend().run(graph, x, states=recorded(graph), third_factors=third)
    monkeypatch.setattr(sharing, "threads", lambda: 3)
    for size in (7, 20, 64):
        monkeypatch.setattr(backend, "CHUNK", size)
        same(FastBackend().run(graph, x, states=recorded(graph), third_factors=third), wanted)
    counted(FastBackend().summarise(graph, x, third_factors=third), graph, x, wanted)


def edged(graph: Graph, **fixed: int) -> Graph:
    """With other numbers in the fixed point of every rule."""
    projections = [
        q
        if q.plasticity is None or q.plasticity.fixed is None
        else replace(q, plasticity=replace(q.plasticity, fixed=replace(q.plasticity.fixed, **fixed)))
        for q in graph.projections
    ]
    return graph.replace(projections=tuple(projections))


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_saturations_are_counted(rounding: str) -> None:
    rng = np.random.default_rng(2)
    graph = plastic_graph(rng, rule="retroactive", rounding=rounding, modulator=False, precision="integer", max_neurons=15)
    graph = edged(graph, trace_max=70, post_step=80, eligibility_max=40, eligibility_shift=2)
    x, third = random_inputs(rng, graph, 3, 80, rate=0.5), third_factors(rng, graph, 3, 80)
    third = {name: 5 * signal for name, signal in third.items()}
    saturations = check(graph, x, third).saturations
    for q in graph.plastic:
        assert all(saturations[f"{q.name}.{name}"] > 10 for name in ("pre", "post", "M", "E"))
    with pytest.raises(SaturationError, match=r"in->hidden0\.M"):
        FastBackend().run(graph, x, strict=True, third_factors=third)


@pytest.mark.parametrize("edge", [{"eligibility_shift": 12}, {"change_shift": 31}, {"change_shift": 0}, {"alpha_exp": 12}])
def test_numbers_that_leave_32_bits(edge: dict[str, int]) -> None:
    rng = np.random.default_rng(4)
    graph = plastic_graph(rng, rule="retroactive", rounding="stochastic", modulator=False, precision="integer", max_neurons=12)
    wide = edged(graph, **edge)
    assert lane_type(graph) == np.int32
    assert lane_type(wide) == (np.int32 if edge == {"change_shift": 0} else np.int64)
    check(wide, random_inputs(rng, graph, 2, 40), third_factors(rng, graph, 2, 40))


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_fixed_graphs_step_by_step(precision: str) -> None:
    rng = np.random.default_rng(8)
    graph = random_graph(rng, precision=precision, max_neurons=40, delays=(1, 5))
    second = Input("second", 5)
    weights = (
        2 * rng.integers(-20, 40, (5, graph.population("hidden0").n))
        if precision == "integer"
        else rng.normal(size=(5, graph.population("hidden0").n))
    )
    extra = Projection.from_dense("second", "hidden0", weights, delays=2)
    graph = graph.replace(populations=(second, *graph.populations), projections=(*graph.projections, extra))
    inputs = {p.name: Spikes.from_dense(rng.random((60, 3, p.n)) < 0.2, graph.dt) for p in graph.inputs}
    stepped(graph, inputs, {}, ReferenceBackend().run(graph, inputs))


def test_what_a_step_gave_stays() -> None:
    rng = np.random.default_rng(9)
    graph = plastic_graph(rng, rule="hebbian", max_neurons=10)
    assert isinstance(FastBackend(), HasStepSessions)
    session = FastBackend().step_session(graph, n_samples=2)
    assert isinstance(session, StepSession)
    given_ = {"in": np.ones((2, graph.inputs[0].n), np.bool_)}
    for _ in range(10):
        step, plastic = session.step(given_), session.plastic("in->hidden0")
    spikes, y, h = step.spikes["hidden0"].copy(), step.readouts["out"].copy(), plastic["H"].copy()
    for _ in range(10):
        session.step(given_)
    assert np.array_equal(step.spikes["hidden0"], spikes)
    assert np.array_equal(step.readouts["out"], y)
    assert np.array_equal(plastic["H"], h)


def modulated() -> Graph:
    neuron = LIF.of("n", 2, decay_v=0.5, v_th=0.5)
    rule = Plasticity("modulated", np.full(2, 0.5), eta=0.5, decay_pre=0.5, clip=1.0, third_factor="reward")
    return Graph(1e-3, (Input("i", 1), neuron), (replace(Projection.from_dense("i", "n", [[1.0, 0.5]]), plasticity=rule),))


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, r"given for \[\].*ask for \['reward'\]"),
        ({"reward": np.zeros((7, 1))}, r"shape \(7, 1\); give \(8, 1\) or \(8, 1, 2\)"),
        ({"reward": np.full((8, 1), np.inf)}, "infinity"),
    ],
)
def test_third_factors_that_do_not_fit(given_: dict, message: str) -> None:
    graph = modulated()
    x = random_inputs(np.random.default_rng(0), graph, 1, 8)
    for run in (FastBackend().run, FastBackend().summarise):
        with pytest.raises(GraphError, match=message):
            run(graph, x, third_factors=given_)


def test_steps_that_do_not_fit() -> None:
    session = FastBackend().step_session(modulated(), n_samples=2)
    spikes, reward = np.zeros((2, 1), np.bool_), np.zeros(2)
    with pytest.raises(GraphError, match=r"'i' has shape \(1, 1\); give \(2, 1\)"):
        session.step({"i": spikes[:1]}, {"reward": reward})
    with pytest.raises(GraphError, match="ask for"):
        session.step({"i": spikes})
    with pytest.raises(GraphError, match="'n' is no plastic projection; there are i->n"):
        session.plastic("n")
