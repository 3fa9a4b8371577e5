"""Time on a chip against the formula, core by core and step by step, and Intel's LSNN from its counts."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph.backends.fast import FastBackend
from neuromorph.counts import count
from neuromorph.energy.latency import latency
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph import LIF, Graph, Input, Projection
from neuromorph.hardware import HardwareProfile, load_profile
from neuromorph.mapping import ChipMap, map_to_chip
from neuromorph.mapping.activity import core_synops
from neuromorph.spikes import Spikes
from tests.mapping.test_partition import small
from tests.strategies import random_graph, random_inputs


def recorded(graph: Graph, inputs: Spikes) -> tuple[dict[str, Spikes], object]:
    recording = FastBackend().run(graph, inputs)
    return {graph.inputs[0].name: inputs, **recording.spikes}, count(graph, inputs, recording)


def synops_by_hand(graph: Graph, found: ChipMap, spikes: dict[str, Spikes]) -> np.ndarray:
    """[samples, steps, cores], spike by spike and synapse by synapse."""
    first = spikes[graph.inputs[0].name]
    total = np.zeros((first.n_samples, first.n_steps, found.partition.n_cores), np.int64)
    for q in graph.projections:
        core = found.partition.core_of(q.target)
        for b, t, i in zip(spikes[q.source].sample, spikes[q.source].step, spikes[q.source].neuron):
            for k in range(q.indptr[i], q.indptr[i + 1]):
                total[b, t, core[q.indices[k]]] += q.weights[k] != 0
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_busiest_core_of_every_step(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, precision="integer", max_neurons=30)
    profile = small(compartments=8)
    inputs = random_inputs(rng, graph, 3, 20)
    spikes, counts = recorded(graph, inputs)
    found = map_to_chip(graph, profile)[0]
    assert found.partition.n_cores > 3
    monkeypatch.setattr("neuromorph.mapping.activity.CELLS", 2 * 20 * found.partition.n_cores)  # two samples at a time
    synops = synops_by_hand(graph, found, spikes)
    assert np.array_equal(np.concatenate(list(core_synops(graph, found.partition, spikes))), synops)
    told = latency(graph, found, spikes, counts, profile)
    updates = updates_by_hand(graph, found, counts, profile)
    wanted = (synops * 3.5e-9 + updates).max(2).sum(1).mean()
    busiest = [told.parts[f"busiest core, {part}"].nominal for part in ("synaptic operations", "neuron updates")]
    assert sum(busiest) == pytest.approx(wanted)
    assert told.parts["host"].nominal == pytest.approx(20 * 11e-6)
    assert told.total.nominal == pytest.approx(sum(part.nominal for part in told.parts.values()))
    assert told.total.lo <= told.total.nominal <= told.total.hi
    assert latency(graph, found, spikes, counts, profile, host=False).parts.keys() == told.parts.keys() - {"host"}


def updates_by_hand(graph: Graph, found: ChipMap, counts, profile: HardwareProfile) -> np.ndarray:
    """Seconds of a step's updates on each core."""
    seconds = np.zeros(found.partition.n_cores)
    for core in range(found.partition.n_cores):
        active = allocated = 0.0
        for p in graph.neurons:
            own = int((found.partition.core_of(p.name) == core).sum()) * profile.compartments[type(p).__name__]
            allocated += own
            active += own * counts.active_updates[p.name].sum() / counts.updates[p.name].sum()
        seconds[core] = active * 8.4e-9 + (4 * np.ceil(allocated / 4) - active) * 5.3e-9
    return seconds


def test_intel_s_lsnn() -> None:
    """(635,151 - 2000) / 840 synaptic operations a step and 350 compartments on a core, by Davies' times: 4.5 us a step if all updates are
    inactive, 5.6 us if all are active. Measured: 16.65 us, the host's included.
    """
    fan, steps = 754, 840  # a spike at every step, with as many synapses as Intel's network uses in one
    neurons = LIF.of("n", 350, decay_v=3900, v_th=2**16, precision="integer", reset="to_value")
    weights = np.zeros((3, 350), np.int64)
    weights.reshape(-1)[:fan] = 2
    graph = Graph(1e-3, (Input("in", 3), neurons), (Projection.from_dense("in", "n", weights),))
    inputs = Spikes.from_dense(np.ones((steps, 1, 3), np.bool_), 1e-3)
    spikes, counts = recorded(graph, inputs)
    profile = load_profile("loihi1")
    found = map_to_chip(graph, profile)[0]
    per_step = {}
    for name, share in (("inactive", 0), ("active", 1)):
        active = {"n": np.full(1, share * 350 * steps)}
        parts = latency(graph, found, spikes, replace(counts, active_updates=active), profile).parts
        per_step[name] = 1e6 * sum(parts[f"busiest core, {part}"].nominal for part in ("synaptic operations", "neuron updates")) / steps
    assert per_step["inactive"] == pytest.approx(4.5, abs=0.05)
    assert per_step["active"] == pytest.approx(5.6, abs=0.05)
    total = latency(graph, found, spikes, counts, profile).total
    assert total.lo / steps < 16.65e-6 < total.hi / steps


def test_more_cores_wait_longer_for_the_barrier() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng, precision="integer", max_neurons=40, per_neuron=False)
    spikes, counts = recorded(graph, random_inputs(rng, graph, 1, 10))
    barriers = []
    for compartments in (1024, 8, 4):
        profile = small(compartments=compartments)
        barriers.append(latency(graph, map_to_chip(graph, profile)[0], spikes, counts, profile).parts["barrier"].nominal)
    assert barriers[0] == pytest.approx(10 * 113e-9)
    assert barriers[0] < barriers[1] < barriers[2] < 10 * 465e-9


def test_what_is_not_known_is_not_zero() -> None:
    """Loihi 2 has no times of hops and of a host."""
    rng = np.random.default_rng(0)
    graph = random_graph(rng, precision="integer", max_neurons=5)
    spikes, counts = recorded(graph, random_inputs(rng, graph, 1, 5))
    profile = load_profile("loihi2")
    told = latency(graph, map_to_chip(graph, profile)[0], spikes, counts, profile)
    assert told.not_counted == ("farthest message", "host")
    assert set(told.parts) == {"busiest core, synaptic operations", "busiest core, neuron updates", "barrier"}


def test_missing_times_are_named() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng, precision="integer", max_neurons=5)
    spikes, counts = recorded(graph, random_inputs(rng, graph, 1, 5))
    profile = load_profile("loihi1")
    found = map_to_chip(graph, profile)[0]
    timeless = replace(profile, time={name: q for name, q in profile.time.items() if name != "neuron_update_active"})
    with pytest.raises(EnergyUnavailable, match=r"lacks time\.neuron_update_active"):
        latency(graph, found, spikes, counts, timeless)
