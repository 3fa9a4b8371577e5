"""Partitions against brute force, synapse by synapse: no limit is exceeded, every neuron has a core, all that is used is told."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import MappingError
from neuromorph.graph import ALIF, LIF, Graph, Input, Projection
from neuromorph.hardware import HardwareProfile, load_profile
from neuromorph.mapping import Partition, partition
from neuromorph.mapping.cut import limits
from tests.mapping.test_memory import by_hand
from tests.strategies import graphs


def small(**changes: int) -> HardwareProfile:
    """Loihi 1 with small cores."""
    profile = load_profile("loihi1")
    names = {
        "compartments": "compartments_per_core",
        "in_axons": "in_axons_per_core",
        "out_axons": "out_axons_per_core",
        "bits": "synapse_mem_bits_per_core",
        "settings": "compartment_profiles_per_core",
    }
    return replace(profile, limits={**profile.limits, **{names[key]: value for key, value in changes.items()}})


def used_by_hand(graph: Graph, found: Partition, profile: HardwareProfile) -> dict[str, list[int]]:
    """Compartments, axons and bits of every core, one axon after the other."""
    n = found.n_cores
    used = {name: [0] * n for name in ("compartments", "in_axons", "out_axons", "synapse_bits")}
    each = {p.name: profile.compartments[type(p).__name__] for p in graph.neurons}
    for p in graph.neurons:
        for core in found.core_of(p.name):
            used["compartments"][core] += each[p.name]
    index = [max(6, int(c - 1).bit_length()) for c in used["compartments"]]
    for p in graph.neurons:
        if each[p.name] > 1:
            for core in found.core_of(p.name):
                used["in_axons"][core] += 1
                used["out_axons"][core] += 1
                used["synapse_bits"][core] += by_hand(each[p.name] - 1, 8 + index[core])
    for q in graph.projections:
        bounds, core = found.bounds[q.target], found.core[q.target]
        delay = int(q.max_delay - 1).bit_length()
        listed, axons = [0] * len(core), [0] * len(core)
        for row in range(q.n_source):
            targets = q.indices[q.indptr[row] : q.indptr[row + 1]]
            targets = targets[q.weights[q.indptr[row] : q.indptr[row + 1]] != 0]
            for k in range(len(core)):
                synapses = int(((bounds[k] <= targets) & (targets < bounds[k + 1])).sum())
                if synapses:
                    axons[k] += 1
                    listed[k] += by_hand(synapses, 8 + delay + index[core[k]])
                    if not isinstance(graph.population(q.source), Input):
                        used["out_axons"][found.core_of(q.source)[row]] += 1
        for k in range(len(core)):
            used["in_axons"][core[k]] += axons[k]
            used["synapse_bits"][core[k]] += min(listed[k], axons[k] * by_hand(int(bounds[k + 1] - bounds[k]), 8 + delay))
    return used


@settings(max_examples=40, deadline=None)
@given(graph=graphs(max_neurons=30), compartments=st.integers(2, 40), bits=st.integers(2000, 20000), axons=st.integers(100, 400))
def test_no_limit_is_exceeded(graph: Graph, compartments: int, bits: int, axons: int) -> None:
    profile = small(compartments=compartments, bits=bits, in_axons=axons, out_axons=axons)
    try:
        found = partition(graph, profile)
    except MappingError:
        used = used_by_hand(graph, one_neuron_a_core(graph), profile)
        assert any(max(each) > limits(profile)[resource] for resource, each in used.items())
        return
    hold(found, graph, profile)


def one_neuron_a_core(graph: Graph) -> Partition:
    """The finest partition there is; what it uses is left to be counted."""
    ends = np.cumsum([0, *(p.n for p in graph.neurons)])
    bounds = {p.name: np.arange(p.n + 1) for p in graph.neurons}
    core = {p.name: np.arange(first, first + p.n) for p, first in zip(graph.neurons, ends)}
    return Partition(graph.digest(), "loihi1", bounds, core, {"compartments": np.zeros(ends[-1], np.int64)})


def hold(found: Partition, graph: Graph, profile: HardwareProfile) -> None:
    """Every neuron has a core, and what is used is what is counted by hand, within the limits."""
    for p in graph.neurons:
        bounds = found.bounds[p.name]
        assert bounds[0] == 0
        assert bounds[-1] == p.n
        assert (np.diff(bounds) > 0).all()
    for resource, allowed in limits(profile).items():
        assert (found.used[resource] <= allowed).all()
    for name, wanted in used_by_hand(graph, found, profile).items():
        assert found.used[name].tolist() == wanted


def lif(n: int, **constants) -> LIF:
    return LIF.of("n", n, **{"decay_v": 0.9, "v_th": 1.0, **constants})


def graph_of(neurons: LIF, weights: np.ndarray) -> Graph:
    return Graph(1e-3, (Input("in", len(weights)), neurons), (Projection.from_dense("in", "n", weights),))


def test_settings_of_compartments_and_thresholds() -> None:
    """40 time constants take two cores of 31; 14 thresholds two of 7."""
    rng = np.random.default_rng(0)
    weights = np.ones((3, 80))
    profile = load_profile("loihi1")
    assert partition(graph_of(lif(80), weights), profile).n_cores == 1
    found = partition(graph_of(lif(80, decay_v=np.repeat(np.linspace(0.5, 0.9, 40), 2)), weights), profile)
    assert found.used["compartment_profiles"].tolist() == [20, 20]
    weights = np.ones((3, 140))
    found = partition(graph_of(lif(140, v_th=np.repeat(np.arange(1.0, 15), 10)), weights), profile)
    assert found.used["vth_profiles"].tolist() == [7, 7]
    mixed = partition(graph_of(lif(140, v_th=rng.permutation(np.repeat(np.arange(1.0, 15), 10))), weights), profile)
    assert (mixed.used["vth_profiles"] <= 7).all()


def test_adaptive_neurons_take_two_compartments_on_loihi_1() -> None:
    neurons = ALIF.of("n", 600, decay_v=0.9, v_th=1.0, decay_a=0.99, kappa=0.1)
    graph = Graph(1e-3, (Input("in", 1), neurons), (Projection.from_dense("in", "n", np.ones((1, 600))),))
    assert partition(graph, load_profile("loihi1")).used["compartments"].tolist() == [600, 600]
    assert partition(graph, load_profile("loihi2")).used["compartments"].tolist() == [600]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_axons": 9}, "one neuron alone needs 10 input axons, a core has 9; raise the sparsity"),
        ({"bits": 200}, "bits of synaptic memory, a core has 200; raise the sparsity"),
    ],
)
def test_one_neuron_too_large_for_a_core(changes: dict[str, int], message: str) -> None:
    with pytest.raises(MappingError, match=re.escape(message)):
        partition(graph_of(lif(4), np.ones((10, 4))), small(**changes))
