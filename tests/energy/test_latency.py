"""Time on a chip against the formula, core by core and step by step, and Intel's LSNN by its numbers of operations."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph.energy.latency import latency
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph import LIF, Graph, Input, Projection
from neuromorph.hardware import load_profile
from neuromorph.mapping import map_to_chip
from neuromorph.spikes import Spikes
from tests.mapping.test_activity import activity_by_hand, recorded
from tests.mapping.test_partition import small
from tests.strategies import random_graph, random_inputs
from tests.test_counts import some_quiet


@pytest.mark.parametrize("seed", range(3))
def test_the_busiest_core_of_every_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = some_quiet(random_graph(rng, precision="integer", max_neurons=30), rng)
    profile = small(compartments=8)
    spikes, _ = recorded(graph, random_inputs(rng, graph, 3, 20))
    found = map_to_chip(graph, profile)[0]
    assert found.partition.n_cores > 3
    told = latency(graph, found, spikes, profile)
    synops, active = activity_by_hand(graph, found.partition, spikes, profile)
    inactive = 4 * np.ceil(found.partition.used["compartments"] / 4) - active
    seconds = synops * 3.5e-9 + active * 8.4e-9 + inactive * 5.3e-9
    busiest = [told.parts[f"busiest core, {part}"].nominal for part in ("synaptic operations", "neuron updates")]
    assert sum(busiest) == pytest.approx(seconds.max(2).sum(1).mean())
    assert busiest[0] == pytest.approx(np.take_along_axis(synops, seconds.argmax(2)[..., None], 2).sum() * 3.5e-9 / 3)
    assert told.parts["host"].nominal == pytest.approx(20 * 11e-6)
    assert told.total.nominal == pytest.approx(sum(part.nominal for part in told.parts.values()))
    assert told.total.lo <= told.total.nominal <= told.total.hi
    assert told.wall.nominal == pytest.approx(told.total.nominal)  # as fast as it goes
    fast = latency(graph, found, spikes, profile, host=False)
    assert fast.parts.keys() == told.parts.keys() - {"host"}
    rest = sum(fast.parts[part].nominal for part in ("farthest message", "barrier")) / 20
    steps = seconds.max(2) + rest
    least = float(np.median(steps))
    held = latency(graph, found, spikes, profile, host=False, step_seconds=least)
    assert held.total == fast.total
    assert held.wall.nominal == pytest.approx(np.maximum(steps, least).sum(1).mean())
    assert held.wall.nominal > fast.wall.nominal


def intel_s_lsnn(weights: np.ndarray) -> tuple[Graph, Spikes]:
    """350 compartments on a core, and inputs that spike at each of 840 steps."""
    neurons = LIF.of("n", 350, decay_v=3900, v_th=2**16, precision="integer", reset="to_value")
    graph = Graph(1e-3, (Input("in", len(weights)), neurons), (Projection.from_dense("in", "n", weights),))
    return graph, Spikes.from_dense(np.ones((840, 1, len(weights)), np.bool_), 1e-3)


FAN = 754
"""(635,151 - 2000) / 840 synaptic operations a step of Intel's network."""


@pytest.mark.parametrize(("active", "microseconds"), [(1, 4.5), (350, 5.6)])
def test_intel_s_lsnn(active: int, microseconds: float) -> None:
    """By Davies' times: 4.5 us a step if no update is active (here all synapses end at one neuron), 5.6 us if all are. Measured: 16.65 us,
    the host's included.
    """
    if active == 1:
        weights = np.zeros((FAN, 350), np.int64)
        weights[:, 0] = 2
    else:
        weights = np.zeros((3, 350), np.int64)
        weights.reshape(-1)[:FAN] = 2
    graph, inputs = intel_s_lsnn(weights)
    spikes, counts = recorded(graph, inputs)
    assert counts.totals()["synops"] == {"in->n": FAN * 840}
    assert counts.totals()["active_updates"] == {"n": active * 839}
    profile = load_profile("loihi1")
    found = map_to_chip(graph, profile)[0]
    assert found.partition.n_cores == 1
    told = latency(graph, found, spikes, profile)
    busiest = sum(told.parts[f"busiest core, {part}"].nominal for part in ("synaptic operations", "neuron updates"))
    assert 1e6 * busiest / 840 == pytest.approx(microseconds, abs=0.05)
    assert told.total.lo / 840 < 16.65e-6 < told.total.hi / 840


def test_more_cores_wait_longer_for_the_barrier() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng, precision="integer", max_neurons=40, per_neuron=False)
    spikes, _ = recorded(graph, random_inputs(rng, graph, 1, 10))
    barriers = []
    for compartments in (1024, 8, 4):
        profile = small(compartments=compartments)
        barriers.append(latency(graph, map_to_chip(graph, profile)[0], spikes, profile).parts["barrier"].nominal)
    assert barriers[0] == pytest.approx(10 * 113e-9)
    assert barriers[0] < barriers[1] < barriers[2] < 10 * 465e-9


def test_what_is_not_known_is_not_zero() -> None:
    """Loihi 2 has no times of hops and of a host."""
    rng = np.random.default_rng(0)
    graph = random_graph(rng, precision="integer", max_neurons=5)
    spikes, _ = recorded(graph, random_inputs(rng, graph, 1, 5))
    profile = load_profile("loihi2")
    told = latency(graph, map_to_chip(graph, profile)[0], spikes, profile)
    assert told.not_counted == ("farthest message", "host")
    assert set(told.parts) == {"busiest core, synaptic operations", "busiest core, neuron updates", "barrier"}


def test_missing_times_are_named() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng, precision="integer", max_neurons=5)
    spikes, _ = recorded(graph, random_inputs(rng, graph, 1, 5))
    profile = load_profile("loihi1")
    found = map_to_chip(graph, profile)[0]
    timeless = replace(profile, time={name: q for name, q in profile.time.items() if name != "neuron_update_active"})
    with pytest.raises(EnergyUnavailable, match=r"lacks time\.neuron_update_active"):
        latency(graph, found, spikes, timeless)
