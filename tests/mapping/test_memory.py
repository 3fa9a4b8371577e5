"""Synaptic memory against nengo-loihi's formula, worked synapse by synapse, and the published size of Intel's LSNN."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.hardware import load_profile
from neuromorph.mapping import partition
from neuromorph.mapping.memory import axon_bits, index_bits

KIB = 8 * 1024


def by_hand(synapses: int, each: int) -> int:
    """Blocks filled one after the other."""
    bits = 0
    while synapses > 0:
        n = min(synapses, 64)
        bits += 64 * int(np.ceil((n * each + 4 + 6) / 64))
        synapses -= n
    return bits


@settings(max_examples=50)
@given(st.integers(0, 2000), st.integers(1, 40))
def test_bits_of_an_axon(synapses: int, each: int) -> None:
    assert axon_bits(np.array([synapses]), each).tolist() == [by_hand(synapses, each)]


@pytest.mark.parametrize(("compartments", "bits"), [(1, 6), (64, 6), (65, 7), (350, 9), (1024, 10), (4096, 12)])
def test_widths_of_indices(compartments: int, bits: int) -> None:
    assert index_bits(compartments, load_profile("loihi1")) == bits


def lsnn(sparse: bool, delays: int) -> Graph:
    """A network of the shape of Intel's LSNN: 80 inputs, 240 neurons, 10 readouts, 100 more compartments, 15,675 synapses."""
    rng = np.random.default_rng(0)

    def project(source: str, target: str, n: int, m: int, synapses: int) -> Projection:
        weights = np.zeros(n * m)
        weights[rng.choice(n * m, synapses if sparse else n * m, replace=False)] = 100
        return Projection.from_dense(source, target, weights.reshape(n, m), delays=rng.integers(1, delays + 1, (n, m)))

    layers = project("in", "n", 80, 240, 4263), project("n", "n", 240, 240, 10566), project("n", "out", 240, 10, 846)
    neurons = LIF.of("n", 240, decay_v=0.9, v_th=1.0), LI.of("out", 10, decay_v=0.9), LI.of("auxiliary", 100, decay_v=0.9)
    return Graph(1e-3, (Input("in", 80), *neurons), layers)


def test_intel_s_lsnn_sparse_fits_a_core() -> None:
    """35.6 KB, 43.5 KB with 4 bits of delay, 558 input axons (Intel's weights; here rows are drawn at random)."""
    for delays, size in ((1, 35.6), (16, 43.5)):
        found = partition(lsnn(sparse=True, delays=delays), load_profile("loihi1"))
        assert found.n_cores == 1
        assert found.used["synapse_bits"][0] / KIB == pytest.approx(size, rel=0.02)
        assert found.used["in_axons"][0] == pytest.approx(558, abs=10)


def test_intel_s_lsnn_dense_does_not() -> None:
    """88.8 KB, 128.1 KB with 4 bits of delay, of 128 KB."""
    assert partition(lsnn(sparse=False, delays=1), load_profile("loihi1")).used["synapse_bits"].tolist() == [88.75 * KIB]
    whole = 80 * 3136 + 240 * 3136 + 240 * by_hand(10, 12)
    assert whole / KIB == pytest.approx(128.1, abs=0.05)
    assert whole > load_profile("loihi1").limit("synapse_mem_bits_per_core")
    assert partition(lsnn(sparse=False, delays=16), load_profile("loihi1")).n_cores > 1
