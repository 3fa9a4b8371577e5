"""Conventional networks on the same task: counts and energies by hand, published figures, and where they meet a chip."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.counts import count
from neuromorph.energy import estimate
from neuromorph.energy.break_even import Meeting, break_even, factor
from neuromorph.energy.comparators import Comparator, Lstm, comparators, dense_network, equal_lstm, of_dense
from neuromorph.energy.terms import Interval
from neuromorph.errors import EnergyUnavailable
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.hardware import load_profile
from neuromorph.spikes import Spikes
from tests.strategies import graphs, random_inputs


def graph_of(n_in: int, n: int, n_out: int, *, recurrent: bool = True) -> Graph:
    neurons = LIF.of("n", n, decay_v=0.5, v_th=0.5, gain=1.0), LI.of("y", n_out, decay_v=0.5)
    projections = [Projection.from_dense("i", "n", np.ones((n_in, n))), Projection.from_dense("n", "y", np.ones((n, n_out)))]
    if recurrent:
        projections.append(Projection.from_dense("n", "n", np.eye(n)))
    return Graph(1e-3, (Input("i", n_in), *neurons), tuple(projections))


def counted(graph: Graph, seed: int = 0, steps: int = 10):
    inputs = random_inputs(np.random.default_rng(seed), graph, 2, steps)
    return count(graph, inputs, ReferenceBackend().run(graph, inputs))


def energies(network) -> dict[str, Interval]:
    return {found.machine: found.energy for found in of_dense(network)}


LSTM_128 = Lstm(128, 1, 784).dense(10)
"""The LSTM of Bellec 2018 and of Intel's benchmark: sequential MNIST, one grey value a step."""


def test_the_published_lstm() -> None:
    """67,850 parameters and 51.78 million multiply-accumulates an inference; fp32 238 uJ, int8 11.9 uJ of arithmetic; measured energies one
    sample at a time: 1.74 J (i5-7440HQ) to 4.385 J (i7-4790), 2.72 J on a notebook's GPU."""
    assert LSTM_128.parameters == 67_850
    assert LSTM_128.macs * LSTM_128.passes == 51_781_632
    found = energies(LSTM_128)
    assert found["fp32 arithmetic alone"].nominal == pytest.approx(238e-6, abs=0.5e-6)
    assert found["int8 arithmetic alone"].nominal == pytest.approx(11.9e-6, abs=0.05e-6)
    one = found["CPU, one sample at a time"]
    assert (one.lo, one.nominal, one.hi) == pytest.approx((1.74, 2.51, 4.385), rel=3e-3)
    assert found["GPU, one sample at a time"].nominal == pytest.approx(68.5 * 39.73e-3, rel=3e-3)
    assert found["GPU, large batches"].nominal == pytest.approx(51_781_632 * 0.3e-9)


def test_the_memory_of_the_published_lstm() -> None:
    """A pass reads 66,816 bytes of weights (readout included in the size, not in the reads) and 522 biases of 4 bytes: linear between
    20 pJ at 32 KiB and 100 pJ at 1 MiB; 257 activations and 256 states of 4 bytes at 10 pJ an access."""
    size = 4 * 128 * 129 + 1280 + 4 * 522
    access = 20 + 80 * (size - 2**15) / (2**20 - 2**15)
    by_hand = 66_048 * 0.23 + 384 * 3.1 + (66_048 + 4 * 522) / 8 * access + (257 + 4 * 256) / 8 * 10
    assert energies(LSTM_128)["int8 with SRAM (Lemaire 2022)"].nominal == pytest.approx(784 * by_hand * 1e-12)


def test_a_dense_network_by_hand() -> None:
    """3 inputs, 4 recurrent neurons, 2 readouts: 12 + 16 + 8 products a step; read 3 + 4 + 4 activations, 6 written; 6 biases."""
    found = dense_network(graph_of(3, 4, 2), 10)
    assert (found.macs, found.parameters, found.activations, found.passes) == (36, 42, 17, 10)
    by_hand = 36 * 0.23 + (36 + 24) / 8 * 10 + 17 / 8 * 10
    assert energies(found)["int8 with SRAM (Lemaire 2022)"].nominal == pytest.approx(10 * by_hand * 1e-12)
    assert energies(found)["int8 with SRAM (Lemaire 2022)"].hi > energies(found)["int8 arithmetic alone"].hi


def test_without_recurrence_one_pass_does() -> None:
    assert dense_network(graph_of(3, 4, 2, recurrent=False), 10).passes == 1


def test_parallel_projections_are_one_dense_layer() -> None:
    graph = graph_of(3, 4, 2)
    twice = replace(graph.projections[0], name="again")
    assert dense_network(graph.replace(projections=(*graph.projections, twice)), 10).macs == 36


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 60), st.integers(1, 10))
def test_the_lstm_of_equal_parameters(n_in: int, n: int, n_out: int) -> None:
    """No other number of units comes closer."""
    graph = graph_of(n_in, n, n_out)
    wanted, found = dense_network(graph, 5).parameters, equal_lstm(graph, 5)
    gaps = {units: abs(Lstm(units, n_in, 5).dense(n_out).parameters - wanted) for units in range(1, 100)}
    assert gaps[found.units] == min(gaps.values())
    assert (found.inputs, found.steps) == (n_in, 5)


def test_all_comparators() -> None:
    graph = graph_of(3, 4, 2)
    counts = counted(graph)
    found = comparators(counts, graph, Lstm(8, 3, 10))
    assert found[0].energy.nominal == pytest.approx(0.9e-12 * sum(counts.per_inference()["synops"].values()))
    assert found[1].energy.nominal == pytest.approx(estimate(counts, graph, load_profile("cmos45_int8_mem")).total.nominal)
    assert len(found) == 2 + 2 * 8
    assert all(0 < c.energy.lo <= c.energy.nominal <= c.energy.hi and c.quantities for c in found)
    assert {c.network for c in found[10:]} == {Lstm(8, 3, 10).dense(2).name}


@pytest.mark.parametrize("bad", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_an_empty_lstm_is_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(EnergyUnavailable, match="1 or more"):
        Lstm(*bad)


def test_break_even_by_hand() -> None:
    """Two neurons, ten steps, one input spike that makes both fire; spinnaker2 updates all. Were spikes doubled, the energy of
    synaptic operations would be."""
    graph = Graph(1e-3, (Input("i", 1), LIF.of("n", 2, decay_v=0.5, v_th=0.5, gain=1.0)), (Projection.from_dense("i", "n", [[1.0, 1.0]]),))
    inputs = Spikes.from_events([0], [0], [0], n_samples=1, n_steps=10, n_neurons=1, dt=1e-3)
    counts = count(graph, inputs, ReferenceBackend().run(graph, inputs))
    report = estimate(counts, graph, load_profile("spinnaker2"))
    updates, synops = 20 * 2.19e-9, 2 * 450e-12
    assert report.total.nominal == pytest.approx(updates + synops)

    def against(energy: float):
        return break_even(report, counts, graph, Comparator("net", "machine", 1, Interval.exactly(energy), ("x",)))

    doubled = against(updates + 2 * synops)
    for meeting in (doubled.dynamic, doubled.total):
        assert meeting.verdict == "below"
        assert meeting.factor == pytest.approx(2)
        assert meeting.rate == pytest.approx(2 * 2 / (2 * 10 * 1e-3))
        assert meeting.spikes_per_synapse == pytest.approx(2)
    assert against(0.9 * updates).dynamic == Meeting("never", None, None, None)
    at_every_step = against(updates + 11 * synops).total  # 11 spikes a neuron in 10 steps
    assert at_every_step.verdict == "always"
    assert against(updates + 9.9 * synops).total.verdict == "below"


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from(["loihi1", "loihi2", "spinnaker2", "truenorth", "cmos45_int8_mem"]), st.integers(0, 2**32 - 1))
def test_at_its_own_energy_a_chip_breaks_even_at_once(data, name: str, seed: int) -> None:
    graph = data.draw(graphs())
    counts = counted(graph, seed, steps=12)
    report = estimate(counts, graph, load_profile(name), what_if=True)
    own = factor(report.terms, report.total.nominal)
    assert own == np.inf or own == pytest.approx(1, rel=1e-6)
    assert factor(report.terms, report.total.nominal * (1 - 1e-3)) < own
