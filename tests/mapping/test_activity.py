"""What every core does, spike by spike and synapse by synapse; its sums are what the whole graph does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.fast import FastBackend
from neuromorph.counts import Counts, count
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.hardware import HardwareProfile
from neuromorph.mapping import ChipMap, CoreLoad, Partition, core_load, load_of, map_to_chip
from neuromorph.mapping.activity import core_activity
from neuromorph.spikes import Spikes
from tests.mapping.test_partition import small
from tests.strategies import graphs, random_graph, random_inputs
from tests.test_counts import some_quiet


def recorded(graph: Graph, inputs: Spikes) -> tuple[dict[str, Spikes], Counts]:
    """Spikes of all populations, and the counts of the whole graph."""
    recording = FastBackend().run(graph, inputs)
    return {graph.inputs[0].name: inputs, **recording.spikes}, count(graph, inputs, recording)


def activity_by_hand(
    graph: Graph, partition: Partition, spikes: dict[str, Spikes], profile: HardwareProfile
) -> tuple[np.ndarray, np.ndarray]:
    """Synaptic operations and active compartment updates [samples, steps, cores], one spike and one synapse after the other."""
    first = spikes[graph.inputs[0].name]
    synops = np.zeros((first.n_samples, first.n_steps, partition.n_cores), np.int64)
    reached: set[tuple[int, int, str, int]] = set()
    for q in graph.projections:
        core = partition.core_of(q.target)
        for b, t, i in zip(spikes[q.source].sample, spikes[q.source].step, spikes[q.source].neuron):
            for k in range(q.indptr[i], q.indptr[i + 1]):
                if q.weights[k] != 0:
                    synops[b, t, core[q.indices[k]]] += 1
                    reached.add((int(b), int(t + q.delays[k]), q.target, int(q.indices[k])))
    active = np.zeros_like(synops)
    for p in graph.neurons:
        for b, t, j in np.ndindex(first.n_samples, first.n_steps, p.n):
            if (b, t, p.name, j) in reached or p.bias[j] != 0 or p.decay_u[j] != 0:
                active[b, t, partition.core_of(p.name)[j]] += profile.compartments[type(p).__name__]
    return synops, active


@pytest.mark.parametrize("seed", range(4))
def test_activity_of_every_core_at_every_step(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    graph = some_quiet(random_graph(rng, precision="integer", max_neurons=30), rng)
    profile = small(compartments=8)
    spikes, _ = recorded(graph, random_inputs(rng, graph, 3, 20))
    found = map_to_chip(graph, profile)[0].partition
    assert found.n_cores > 3
    widest = max(found.n_cores, *(p.n for p in graph.neurons))
    monkeypatch.setattr("neuromorph.mapping.activity.CELLS", 2 * 20 * widest)  # two samples at a time
    blocks = list(core_activity(graph, found, spikes, profile))
    assert [len(block.synops) for block in blocks] == [2, 1]
    synops, active = activity_by_hand(graph, found, spikes, profile)
    assert np.array_equal(np.concatenate([block.synops for block in blocks]), synops)
    assert np.array_equal(np.concatenate([block.active for block in blocks]), active)
    assert (active.reshape(-1, found.n_cores).std(0) > 0).any()  # no mean would do
    assert (active <= found.allocated(profile)).all()


def chain() -> tuple[Graph, Spikes]:
    """Input 0 at steps 0 and 3 makes a0, a1 and (delay 2) l0 active; a0 and a1 spike at once, and reach the readout."""
    adaptive = ALIF.of("a", 2, decay_v=1, v_th=5, decay_a=1, kappa=0, precision="integer", reset="to_value", adaptation="current")
    plain, readout = (
        LIF.of("l", 1, decay_v=1, v_th=2**16, precision="integer", reset="to_value"),
        LI.of("y", 2, decay_v=1, precision="integer"),
    )
    projections = (
        Projection.from_dense("i", "a", np.full((1, 2), 64)),
        Projection.from_dense("i", "l", np.full((1, 1), 64), delays=[[2]]),
        Projection.from_dense("a", "y", np.array([[64, 64], [64, 0]])),
    )
    graph = Graph(1e-3, (Input("i", 1), adaptive, plain, readout), projections)
    return graph, Spikes.from_events([0, 0], [0, 3], [0, 0], n_samples=1, n_steps=5, n_neurons=1, dt=1e-3)


def test_a_small_graph_by_hand() -> None:
    """A core of 5 compartments takes a (2 each) and l, another y. a is active at 1 and 4, l at 2, y at 2: the later ones are cut off."""
    graph, inputs = chain()
    profile = small(compartments=5)
    spikes, _ = recorded(graph, inputs)
    assert spikes["a"].step.tolist() == [1, 1, 4, 4]
    found = map_to_chip(graph, profile)[0].partition
    assert {name: cores.tolist() for name, cores in found.core.items()} == {"a": [0], "l": [0], "y": [1]}
    load = core_load(graph, found, spikes, profile)
    assert load.synops.tolist() == [2 * 3, 2 * 3]
    assert load.auxiliary_synops.tolist() == [4, 0]
    assert load.updates_active.tolist() == [4 + 4 + 1, 2]
    assert load.updates.tolist() == [8 * 5, 4 * 5]  # in groups of four
    assert load.spikes.tolist() == [4, 0]
    assert load.messages_out.tolist() == [4, 0]
    assert load.messages_in.tolist() == [2 * 2, 4]


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 16), st.integers(1, 4), st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_cores_add_up_to_the_graph(data, compartments: int, n_samples: int, n_steps: int, seed: int) -> None:
    rng, profile = np.random.default_rng(seed), small(compartments=compartments)
    graph = some_quiet(data.draw(graphs(precision="integer", max_neurons=12)), rng)
    spikes, counts = recorded(graph, random_inputs(rng, graph, n_samples, n_steps))
    found = map_to_chip(graph, profile, starts=0)[0]
    load = core_load(graph, found.partition, spikes, profile)
    assert_adds_up(graph, found, load, counts, profile, {name: s.counts().mean(0) for name, s in spikes.items()})


def assert_adds_up(
    graph: Graph, found: ChipMap, load: CoreLoad, counts: Counts, profile: HardwareProfile, spikes: dict[str, np.ndarray]
) -> None:
    mean, whole = counts.per_inference(), load_of(graph, found, spikes, profile)
    each = {p.name: profile.compartments[type(p).__name__] for p in graph.neurons}
    firing = {name: fired for name, fired in mean["spikes"].items() if name in each}
    assert load.n_samples == counts.n_samples
    assert load.synops.sum() == pytest.approx(sum(mean["synops"].values()))
    assert load.updates_active.sum() == pytest.approx(sum(each[name] * n for name, n in mean["active_updates"].items()))
    assert load.updates.sum() == pytest.approx(whole.compartments * counts.n_steps)
    assert load.spikes.sum() == pytest.approx(sum(firing.values()))
    assert load.auxiliary_synops.sum() == pytest.approx(sum((each[name] - 1) * fired for name, fired in firing.items()))
    assert load.messages_in.sum() == pytest.approx(whole.messages)
    from_outside = sum(float(spikes["in"] @ _slices_reached(q, found.partition)) for q in graph.projections if q.source == "in")
    assert load.messages_out.sum() == pytest.approx(whole.messages - from_outside)
    assert (load.updates_active <= load.updates).all()


def _slices_reached(q: Projection, partition: Partition) -> np.ndarray:
    """Of each source neuron, how many slices of the target it reaches."""
    bounds, reached = partition.bounds[q.target], np.zeros(q.n_source)
    for i in range(q.n_source):
        ends = slice(q.indptr[i], q.indptr[i + 1])
        reached[i] = len(np.unique(np.searchsorted(bounds, q.indices[ends][q.weights[ends] != 0], side="right")))
    return reached
