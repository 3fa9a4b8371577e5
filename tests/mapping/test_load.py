"""Energy of a mapped graph: messages and hops walked by hand, every term that the map changes."""

from dataclasses import replace

import numpy as np
import pytest

from neuromorph.backends.fast import FastBackend
from neuromorph.counts import of_summary
from neuromorph.energy import estimate, events_of
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph import Graph, Input
from neuromorph.hardware import HardwareProfile, load_profile
from neuromorph.mapping import ChipMap, Load, Mesh, load_of, load_on, map_to_chip
from tests.mapping.test_partition import small
from tests.mapping.test_traffic import walk
from tests.strategies import random_graph, random_inputs


def run(profile: HardwareProfile, seed: int = 0):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, precision="integer", max_neurons=40, resets=("to_value",), adaptations=("current",))
    summary = FastBackend().summarise(graph, random_inputs(rng, graph, 3, 40))
    spikes = summary.mean_spikes()
    return graph, of_summary(graph, summary), spikes, map_to_chip(graph, profile, spikes)[0]


def borders(mesh: Mesh, a: int, b: int) -> int:
    """Borders between chips on the way from core a to core b, tile by tile, along the row first."""
    (x, y, _), (to_x, to_y, _) = mesh.position(np.array([a])), mesh.position(np.array([b]))
    here, there, passed = [int(x[0]), int(y[0])], [int(to_x[0]), int(to_y[0])], 0
    for axis, size in ((0, mesh.columns), (1, mesh.rows)):
        while here[axis] != there[axis]:
            before = here[axis] // size
            here[axis] += 1 if there[axis] > here[axis] else -1
            passed += here[axis] // size != before
    return passed


def by_hand(graph: Graph, found: ChipMap, spikes: dict[str, np.ndarray]) -> tuple[float, float, float, float]:
    """Messages, hops and borders between chips, neuron by neuron."""
    messages = ew = ns = between = 0.0
    place = found.placement.slot
    for q in graph.projections:
        target = found.partition.core_of(q.target)
        outside = isinstance(graph.population(q.source), Input)
        for i, fired in enumerate(spikes[q.source]):
            ends = slice(q.indptr[i], q.indptr[i + 1])
            home = 0 if outside else int(place[found.partition.core_of(q.source)[i]])
            for core in np.unique(target[q.indices[ends][q.weights[ends] != 0]]):
                hops = walk(found.mesh, home, int(place[core]))
                messages, ew, ns = messages + fired, ew + fired * hops[0], ns + fired * hops[1]
                between += fired * borders(found.mesh, home, int(place[core]))
    return messages, ew, ns, between


def tiny_chips() -> HardwareProfile:
    """Chips of 2 x 1 tiles with 2 cores each."""
    profile = small(compartments=6)
    lie = {"mesh_columns": 2, "mesh_rows": 1, "cores_per_tile": 2, "cores_per_chip": 4, "tiles": 2}
    return replace(profile, limits={**profile.limits, **lie})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("profile", [small(compartments=6), tiny_chips()], ids=["one chip", "several"])
def test_messages_and_hops(seed: int, profile: HardwareProfile) -> None:
    graph, counts, spikes, found = run(profile, seed)
    load = load_of(graph, found, spikes, profile)
    assert load.cores == found.partition.n_cores > 4
    assert (load.messages, load.hops_ew, load.hops_ns, load.between_chips) == pytest.approx(by_hand(graph, found, spikes))
    assert (load.between_chips > 0) == (found.mesh.chips > 1)
    assert load.compartments == sum(-(-int(n) // 4) * 4 for n in found.partition.used["compartments"])
    assert load_on(graph, profile, spikes) == load
    events = events_of(counts, graph, profile, load)
    plain = events_of(counts, graph, profile)
    assert events.synops == plain.synops
    assert events.messages == load.messages >= plain.messages
    assert events.updates_active + events.updates_inactive == pytest.approx(load.compartments * 40)


def test_the_energy_of_a_map() -> None:
    profile = small(compartments=6)
    graph, counts, spikes, _ = run(profile)
    load = load_on(graph, profile, spikes)
    before, after = (estimate(counts, graph, profile, load=each, what_if=True) for each in (None, load))
    terms = {t.quantity: t for t in after.terms if t.scope == "dynamic"}
    assert terms["energy.hop_ew"].nominal == pytest.approx(load.hops_ew * 3.0e-12)
    assert terms["energy.hop_ns"].nominal == pytest.approx(load.hops_ns * 4.0e-12)
    assert after.scopes["static"].nominal == pytest.approx(load.cores * 0.503e-3 * 40 * graph.dt)
    assert after.total.nominal > before.total.nominal
    assert not any("no map" in text for text in after.not_counted)
    assert f"the cores in use ({load.cores})" in after.scope


def test_maps_of_another_graph_or_chip_are_refused() -> None:
    profile = small(compartments=6)
    graph, counts, spikes, _ = run(profile)
    with pytest.raises(EnergyUnavailable, match=r"the map is of another graph or chip \(loihi1\); map this graph on loihi2_estimate"):
        estimate(counts, graph, load_profile("loihi2"), load=load_on(graph, profile, spikes))
    other = Load("0" * 64, "loihi1", 1, 4, 0.0, 0.0, 0.0, 0.0)
    with pytest.raises(EnergyUnavailable, match="another graph"):
        estimate(counts, graph, profile, load=other)
