"""Energy of every core: by hand, and in sum that of the whole graph without hops."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.energy import events_of
from neuromorph.energy.cores import core_energy
from neuromorph.energy.terms import price
from neuromorph.errors import EnergyUnavailable
from neuromorph.hardware import HardwareProfile, load_profile
from neuromorph.mapping import core_load, load_of, map_to_chip
from tests.mapping.test_activity import chain, recorded
from tests.mapping.test_partition import small
from tests.strategies import graphs, random_inputs
from tests.test_counts import some_quiet


def with_messages(compartments: int) -> HardwareProfile:
    """Loihi 1 with small cores and SANA-FE's energies: messages cost where they are sent, spikes where they are generated."""
    profile = small(compartments=compartments)
    return replace(profile, energy={**load_profile("loihi1_sanafe").energy, "spike_intra_tile": profile.energy["spike_intra_tile"]})


@pytest.mark.parametrize("make", [small, with_messages], ids=["davies", "sanafe"])
@settings(max_examples=25, deadline=None)
@given(data=st.data(), compartments=st.integers(2, 16), samples=st.integers(1, 4), steps=st.integers(1, 15), seed=st.integers(0, 2**32 - 1))
def test_cores_add_up_to_the_graph_without_hops(make, data, compartments: int, samples: int, steps: int, seed: int) -> None:
    rng, profile = np.random.default_rng(seed), make(compartments=compartments)
    graph = some_quiet(data.draw(graphs(precision="integer", max_neurons=12)), rng)
    spikes, counts = recorded(graph, random_inputs(rng, graph, samples, steps))
    found = map_to_chip(graph, profile, starts=0)[0]
    told = core_energy(core_load(graph, found.partition, spikes, profile), profile)
    load = load_of(graph, found, {name: s.counts().mean(0) for name, s in spikes.items()}, profile)
    whole = price(replace(events_of(counts, graph, profile, load), hops_ew=0, hops_ns=0), profile)
    assert len(told.cores) == found.partition.n_cores
    for end in ("lo", "nominal", "hi"):
        assert getattr(told.total, end) == pytest.approx(sum(getattr(term, end) for term in whole))
        parts = [getattr(core, end) for core in told.cores]
        assert sum(parts) + getattr(told.outside, end) == pytest.approx(getattr(told.total, end))
        assert min(parts) >= 0


def test_a_small_graph_by_hand() -> None:
    """See `chain`: core 0 holds a and l, core 1 the readout; a's 4 spikes go from 0 to 1, 2 x 2 messages come from outside."""
    graph, inputs = chain()
    profile = with_messages(compartments=5)
    spikes, _ = recorded(graph, inputs)
    told = core_energy(core_load(graph, map_to_chip(graph, profile)[0].partition, spikes, profile), profile)
    synop, active, inactive, spike, out, tile = 33.6, 72.8, 51.2, 69.3, 111, 1.7
    first = (6 + 4) * synop + 9 * active + (40 - 9) * inactive + 4 * spike + 4 * out + 4 * tile
    second = 6 * synop + 2 * active + (20 - 2) * inactive + 4 * tile
    assert [1e12 * core.nominal for core in told.cores] == pytest.approx([first, second])
    assert 1e12 * told.outside.nominal == pytest.approx(4 * out)
    assert 1e12 * told.total.nominal == pytest.approx(first + second + 4 * out)


def test_crossbars_walk_whole_rows() -> None:
    graph, inputs = chain()
    profile = small(compartments=5)
    rows = replace(profile, limits={**profile.limits, "synops_per_message": 256})
    spikes, _ = recorded(graph, inputs)
    load = core_load(graph, map_to_chip(graph, profile)[0].partition, spikes, profile)
    more = [b.nominal - a.nominal for a, b in zip(core_energy(load, profile).cores, core_energy(load, rows).cores)]
    assert more == pytest.approx([(4 * 256 - 6) * 23.6e-12, (4 * 256 - 6) * 23.6e-12])


def test_what_cannot_be_told_is_refused() -> None:
    graph, inputs = chain()
    profile = small(compartments=5)
    spikes, _ = recorded(graph, inputs)
    load = core_load(graph, map_to_chip(graph, profile)[0].partition, spikes, profile)
    with pytest.raises(EnergyUnavailable, match=r"the load is of loihi1; map the graph on loihi2_estimate"):
        core_energy(load, load_profile("loihi2"))
    poorer = replace(profile, energy={name: q for name, q in profile.energy.items() if name != "neuron_update_active"})
    with pytest.raises(EnergyUnavailable, match=r"energy\.neuron_update_active"):
        core_energy(load, poorer)
