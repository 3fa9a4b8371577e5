"""Counts against loops over every spike and synapse, and hand-worked numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph import reached
from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.errors import GraphError
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.graph.populations import replace
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.strategies import graphs, random_graph, random_inputs

DT = 1e-3


def run(graph: Graph, inputs: Spikes) -> Recording:
    return ReferenceBackend().run(graph, inputs)


def chain() -> tuple[Graph, Spikes]:
    """Input i fires at steps 0 and 3; it reaches neuron 0 after 1 step, neuron 1 after 2 steps, and (weight 0) the readout."""
    neuron = LIF.of("n", 2, decay_v=0.5, v_th=0.4, gain=1.0)
    weights = [[1.0, 0.1], [0.0, 0.5]]
    graph = Graph(
        DT,
        (Input("i", 2), neuron, LI.of("y", 1, decay_v=0.5)),
        (
            Projection.from_dense("i", "n", weights, delays=[[1, 2], [1, 1]]),
            Projection("n->y", "n", "y", np.array([0, 1, 2]), np.array([0, 0]), np.array([1.0, 0.0]), np.array([1, 1])),
        ),
    )
    return graph, Spikes.from_events([0, 0], [0, 3], [0, 0], n_samples=1, n_steps=5, n_neurons=2, dt=DT)


def test_by_hand():
    graph, inputs = chain()
    counts = count(graph, inputs, run(graph, inputs))
    assert counts.spikes["i"].tolist() == [2]
    # neuron 0: v = 1.0 at steps 1 and 4, spikes; neuron 1 gets 0.1 at step 2 (and 5, beyond the run): none
    assert counts.spikes["n"].tolist() == [2]
    assert counts.synops["i->n"].tolist() == [4]  # 2 spikes x fan-out 2; one of them arrives after the last step
    assert counts.synops["n->y"].tolist() == [2]
    assert counts.messages["i"].tolist() == [2]
    assert counts.messages["n"].tolist() == [2]
    assert counts.updates["n"].tolist() == [10]
    assert counts.updates["y"].tolist() == [5]
    assert counts.active_updates["n"].tolist() == [3]  # neuron 0 at 1 and 4, neuron 1 at 2
    assert counts.active_updates["y"].tolist() == [1]  # spike of step 1 arrives at 2; that of step 4 after the end
    assert counts.rates["i"] == pytest.approx(2 / (5 * 2 * DT))
    assert set(counts.updates) == {"n", "y"}


def test_a_zero_weight_is_no_synapse():
    graph, _ = chain()
    silent = Spikes.from_events([0], [0], [1], n_samples=1, n_steps=5, n_neurons=2, dt=DT)
    graph = graph.replace(
        projections=(
            Projection("i->n", "i", "n", np.array([0, 0, 2]), np.array([0, 1]), np.array([0.0, 0.0]), np.array([1, 1])),
            graph.projection("n->y"),
        )
    )
    counts = count(graph, silent, run(graph, silent))
    assert counts.spikes["i"].tolist() == [1]
    assert counts.messages["i"].tolist() == [0]
    assert counts.synops["i->n"].tolist() == [0]
    assert counts.active_updates["n"].tolist() == [0]


@pytest.mark.parametrize("field", ["bias", "decay_u"])
def test_bias_and_synaptic_current_keep_a_neuron_active(field):
    graph, inputs = chain()
    busy = replace(graph.population("n"), **{field: np.array([0.0, 1e-6])})
    graph = graph.replace(populations=(graph.populations[0], busy, graph.populations[2]))
    counts = count(graph, inputs, run(graph, inputs))
    assert counts.active_updates["n"].tolist() == [2 + 5]


def brute_force(graph: Graph, inputs: Spikes, recording: Recording):
    """Loops over samples, steps, neurons and synapses."""
    dense = {name: s.to_dense() for name, s in {graph.inputs[0].name: inputs, **recording.spikes}.items()}
    samples, steps = recording.n_samples, recording.n_steps
    synops = {p.name: [0] * samples for p in graph.projections}
    arrivals: dict[str, list[set]] = {p.name: [set() for _ in range(samples)] for p in graph.populations}
    messages = {name: [0] * samples for name in dense}
    for name, z in dense.items():
        outgoing = [p for p in graph.projections if p.source == name]
        for t, b, i in np.argwhere(z).tolist():
            reached = 0
            for p in outgoing:
                for k in range(p.indptr[i], p.indptr[i + 1]):
                    if p.weights[k] != 0:
                        reached += 1
                        synops[p.name][b] += 1
                        if t + p.delays[k] < steps:
                            arrivals[p.target][b].add((int(t + p.delays[k]), int(p.indices[k])))
            messages[name][b] += reached > 0
    active = {}
    for p in graph.populations:
        if not isinstance(p, Input):
            always = {(t, j) for t in range(steps) for j in range(p.n) if p.bias[j] != 0 or p.decay_u[j] != 0}
            active[p.name] = [len(found | always) for found in arrivals[p.name]]
    return synops, active, messages


def some_quiet(graph: Graph, rng: np.random.Generator) -> Graph:
    """Without bias and synaptic current in about two thirds of the neurons, and with some weights of zero."""
    populations = [
        p if isinstance(p, Input) else replace(p, **{f: np.where(rng.random(p.n) < 0.65, 0, getattr(p, f)) for f in ("bias", "decay_u")})
        for p in graph.populations
    ]
    projections = [
        Projection(
            p.name,
            p.source,
            p.target,
            p.indptr,
            p.indices,
            np.where(rng.random(p.n_synapses) < 0.2, 0, p.weights),
            p.delays,
            p.weight_exp,
            p.signs,
        )
        for p in graph.projections
    ]
    return graph.replace(populations=tuple(populations), projections=tuple(projections))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["float", "integer"]), st.integers(1, 4), st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_against_brute_force(data, precision, n_samples, n_steps, seed):
    rng = np.random.default_rng(seed)
    graph = some_quiet(data.draw(graphs(precision=precision)), rng)
    inputs = random_inputs(rng, graph, n_samples, n_steps)
    recording = run(graph, inputs)
    counts = count(graph, inputs, recording)
    synops, active, messages = brute_force(graph, inputs, recording)
    assert {name: c.tolist() for name, c in counts.synops.items()} == synops
    assert {name: c.tolist() for name, c in counts.active_updates.items()} == active
    assert {name: c.tolist() for name, c in counts.messages.items()} == messages
    for name, s in recording.spikes.items():
        assert counts.spikes[name].tolist() == s.to_dense().sum(axis=(0, 2)).tolist()
    for name, updates in counts.updates.items():
        assert (counts.active_updates[name] <= updates).all()


def test_small_blocks_give_the_same_counts(monkeypatch):
    rng = np.random.default_rng(3)
    graph = some_quiet(random_graph(rng, max_neurons=12), rng)
    inputs = random_inputs(rng, graph, 7, 20)
    recording = run(graph, inputs)
    whole = count(graph, inputs, recording)
    monkeypatch.setattr(reached, "CELLS", 1)
    monkeypatch.setattr(reached, "EVENTS", 3)
    assert count(graph, inputs, recording).totals() == whole.totals()
    assert whole.totals()["active_updates"]["out"] > 0


def test_totals_and_means():
    graph, _ = chain()
    twice = Spikes.from_events([0, 0, 1], [0, 3, 1], [0, 0, 1], n_samples=2, n_steps=5, n_neurons=2, dt=DT)
    counts = count(graph, twice, run(graph, twice))
    assert counts.totals()["spikes"]["i"] == 3
    assert counts.per_inference()["spikes"]["i"] == 1.5
    assert counts.to_dict()["per_inference"] == counts.per_inference()
    assert counts.to_dict()["n_samples"] == 2
    assert isinstance(counts.totals()["synops"]["i->n"], int)


def test_what_does_not_fit_is_refused():
    graph, inputs = chain()
    recording = run(graph, inputs)
    with pytest.raises(GraphError, match="the graph that ran"):
        count(graph.replace(metadata={"a": "b"}), inputs, recording)
    with pytest.raises(GraphError, match="shape"):
        count(graph, Spikes.from_events([], [], [], n_samples=1, n_steps=4, n_neurons=2, dt=DT), recording)
    with pytest.raises(GraphError, match="spikes given for"):
        count(graph, {"other": inputs}, recording)
    nothing = Spikes.from_events([], [], [], n_samples=0, n_steps=5, n_neurons=2, dt=DT)
    empty = Recording("reference", "float", graph.digest(), DT, 0, 5, {"n": nothing}, {})
    with pytest.raises(GraphError, match="no samples"):
        count(graph, nothing, empty)
