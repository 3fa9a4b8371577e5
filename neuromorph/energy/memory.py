"""Arithmetic plus memory accesses of a sparse spiking network on a generic digital accelerator.

Lemaire et al. 2022 (arXiv:2210.13107), E = operations + addressing + memory, for event-driven layers with sparse rows:
per synaptic operation one addition, one address addition, the weight and its index read, the accumulator read and
written; per neuron update its states decayed, added, read and written. Weights are int8, states int32. Energies of
Horowitz (ISSCC 2014) hold for 64-bit accesses: `v` packs words into accesses; `hi` spends an access on each synaptic word.
"""

from dataclasses import replace

import numpy as np

from neuromorph.counts import Counts
from neuromorph.energy.terms import Term, refuse_without
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LIF, Neurons
from neuromorph.hardware import HardwareProfile, Quantity

ACCESS = 8  # bytes
WORD = 4  # bytes of a state, accumulator, row pointer or spike event
SYNAPSE = 3  # bytes: int8 weight, 16-bit index
SRAM = {"sram_8kib": 2**13, "sram_32kib": 2**15, "sram_1mib": 2**20}  # bytes


def price_with_memory(counts: Counts, graph: Graph, profile: HardwareProfile) -> tuple[Term, ...]:
    """Dynamic terms of the mean inference. Constants of neurons are taken to sit in registers.

    Raises:
        EnergyUnavailable: the profile lacks a number.
    """
    refuse_without(["add_int32", "mul_int32", *SRAM, "dram"], profile)
    mean = counts.per_inference()
    synops = sum(mean["synops"].values())
    lookups = sum(mean["spikes"][p.source] for p in graph.projections)
    neurons = graph.neurons
    states = sum(_states(p) for p in neurons) * counts.n_steps
    comparisons = sum(p.n * (1 + isinstance(p, ALIF)) for p in neurons if isinstance(p, LIF)) * counts.n_steps
    updates = sum(mean["updates"].values())
    synapse_bytes = sum(SYNAPSE * int(np.count_nonzero(p.used)) + WORD * len(p.indptr) for p in graph.projections)
    weights = memory(profile, synapse_bytes)
    cells = memory(profile, WORD * sum(_states(p) + p.n for p in neurons))
    events = memory(profile, 0)
    add, mul = profile.energy["add_int32"], profile.energy["mul_int32"]
    return (
        Term("dynamic", "synaptic operations, additions", "energy.add_int32", synops, add),
        Term("dynamic", "synaptic operations, addresses", "energy.add_int32", synops, add),
        Term("dynamic", "neuron updates, decays", "energy.mul_int32", states, mul, fixed=True),
        Term("dynamic", "neuron updates, sums and comparisons", "energy.add_int32", states + comparisons, add, fixed=True),
        Term("dynamic", "weights and indices read", "energy.sram", synops, _words(weights, SYNAPSE, at_most=1)),
        Term("dynamic", "row pointers read", "energy.sram", lookups, _words(weights, 2 * WORD)),
        Term("dynamic", "accumulators read and written, synaptic", "energy.sram", synops, _words(cells, 2 * WORD, at_most=2)),
        Term("dynamic", "states and accumulators read and written", "energy.sram", states + updates, _words(cells, 2 * WORD), fixed=True),
        Term("dynamic", "spike events written and read", "energy.sram", sum(mean["spikes"].values()), _words(events, 2 * WORD)),
    )


def memory(profile: HardwareProfile, size: int) -> Quantity:
    """Energy of a 64-bit access to a memory of `size` bytes: linear between the SRAM sizes, 8 KiB at least, DRAM above 1 MiB."""
    if size > SRAM["sram_1mib"]:
        return profile.energy["dram"]
    points = [profile.energy[name] for name in SRAM]
    between = {end: float(np.interp(size, list(SRAM.values()), [getattr(q, end) for q in points])) for end in ("v", "lo", "hi")}
    return replace(points[0], **between, kind="derived", basis="derived", note=f"64-bit access to {size} bytes, linear between SRAM sizes")


def _words(access: Quantity, size: int, at_most: int | None = None) -> Quantity:
    """Energy of `size` bytes packed into accesses; `at_most`: accesses where they cannot be packed, for `hi`."""
    packed = size / ACCESS
    return replace(access, v=access.v * packed, lo=access.lo * packed, hi=access.hi * (packed if at_most is None else at_most))


def _states(p: Neurons) -> int:
    """State variables that decay, over all neurons: v, u where there is a synaptic current, a where there is adaptation."""
    return p.n * (1 + isinstance(p, ALIF)) + int(np.count_nonzero(p.decay_u))
