"""Populations cut into slices of neighbouring neurons, and what each slice asks of the core that holds it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF, Neurons
from neuromorph.graph.projections import Projection
from neuromorph.hardware import HardwareProfile
from neuromorph.learning import Learning
from neuromorph.mapping.memory import Memory, index_bits, internal_bits
from neuromorph.quantize import allowed, setting_groups
from neuromorph.shapes import Int64

SYNAPSES = 2**18
"""Synapses that are looked at in one go, which bounds the memory that is needed."""
RESOURCES = ("compartments", "in_axons", "out_axons", "synapse_bits", "compartment_profiles", "vth_profiles")

Bounds: TypeAlias = Mapping[str, Int64[np.ndarray, " bounds"]]
"""By population that computes: 0, the first neuron of the second slice, ..., n."""


Room: TypeAlias = Mapping[str, Int64[np.ndarray, " slices"]]
"""By population that computes: compartments of the core of each slice."""


@dataclass(frozen=True)
class Demand:
    """What the slices of a population ask of a core, [slices] each: `compartments`; `in_axons`, one for each source neuron and projection
    with a synapse in the slice; `out_axons`, one for each neuron, projection and slice that it reaches; `synapse_bits`; and the different
    settings of compartments (decays, refractory period) and of thresholds.
    """

    compartments: Int64[np.ndarray, " slices"]
    in_axons: Int64[np.ndarray, " slices"]
    out_axons: Int64[np.ndarray, " slices"]
    synapse_bits: Int64[np.ndarray, " slices"]
    compartment_profiles: Int64[np.ndarray, " slices"]
    vth_profiles: Int64[np.ndarray, " slices"]


class Reach(NamedTuple):
    """Axons: `row` of the source neuron, `slice` of the target, `synapses` with a nonzero weight."""

    row: Int64[np.ndarray, " axons"]
    slice: Int64[np.ndarray, " axons"]
    synapses: Int64[np.ndarray, " axons"]


def limits(profile: HardwareProfile) -> dict[str, int]:
    """What a core of the chip has, by resource; without those that the profile does not know."""
    names = {
        "compartments": "compartments_per_core",
        "in_axons": "in_axons_per_core",
        "out_axons": "out_axons_per_core",
        "synapse_bits": "synapse_mem_bits_per_core",
    }
    settings = dict(zip(("compartment_profiles", "vth_profiles"), allowed(profile)))
    known = {resource: profile.limit(name) for resource, name in names.items() if name in profile.limits}
    return known | {resource: most for resource, most in settings.items() if most is not None}


def even(n: int, slices: int) -> Int64[np.ndarray, " bounds"]:
    """Bounds of so many slices of nearly equal size."""
    return np.linspace(0, n, slices + 1).round().astype(np.int64)


def reach(q: Projection, bounds: Int64[np.ndarray, " bounds"]) -> Iterator[Reach]:
    """Where the axons of a projection end, for some synapses at a time; those of a source neuron stay together."""
    slice_of = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    in_use, first = q.used, 0
    while first < q.n_source:
        full = int(np.searchsorted(q.indptr, q.indptr[first] + SYNAPSES, side="right")) - 1
        last = max(full, first + 1)
        chosen, starts = slice(q.indptr[first], q.indptr[last]), q.indptr[first : last + 1] - q.indptr[first]
        ends, used = slice_of[q.indices[chosen]], in_use[chosen]
        if not used.all():
            ends, starts = ends[used], starts - np.searchsorted(np.flatnonzero(~used), starts)
        # targets ascend within a row, so that the synapses of an axon are neighbours
        new = np.ones(len(ends), np.bool_)
        np.not_equal(ends[1:], ends[:-1], out=new[1:])
        new[starts[:-1][np.diff(starts) > 0]] = True
        begins = np.flatnonzero(new)
        row = np.repeat(np.arange(first, last), np.diff(np.searchsorted(begins, starts)))
        yield Reach(row, ends[begins], np.diff(begins, append=len(ends)))
        first = last


def demands(
    graph: Graph, bounds: Bounds, profile: HardwareProfile, room: Room | None = None, learning: Learning | None = None
) -> dict[str, Demand]:
    """The demand of every population that computes, in one pass over the synapses. `room`: compartments of the core of each slice, which
    decide how wide indices are; by default all that a core has. An axon onto plastic synapses takes two places (nengo-loihi@e564f66).
    """
    in_axons = {p.name: np.zeros(len(bounds[p.name]) - 1, np.int64) for p in graph.neurons}
    bits = {name: np.zeros_like(axons) for name, axons in in_axons.items()}
    out_axons = {p.name: np.zeros(p.n, np.int64) for p in graph.populations}
    widths = {p.name: _index_bits(len(bounds[p.name]) - 1, profile, None if room is None else room[p.name]) for p in graph.neurons}
    for q in graph.projections:
        plastic = learning is not None and q.name in learning.projections
        memory = Memory(q, np.diff(bounds[q.target]), widths[q.target], profile, tagged=plastic)
        for axons in reach(q, bounds[q.target]):
            in_axons[q.target] += (1 + plastic) * np.bincount(axons.slice, minlength=len(in_axons[q.target]))
            out_axons[q.source] += np.bincount(axons.row, minlength=q.n_source)
            memory.add(axons.slice, axons.synapses)
        bits[q.target] += memory.bits()
    found = {}
    for p in graph.neurons:
        cut, size = bounds[p.name], np.diff(bounds[p.name])
        each = profile.compartments_of(p)
        if each > 1:  # a spike reaches the further compartments of its own neuron through an axon with a synapse for each
            in_axons[p.name] += size
            out_axons[p.name] += 1
            bits[p.name] += size * internal_bits(each - 1, widths[p.name], profile)
        found[p.name] = Demand(
            size * each,
            in_axons[p.name],
            np.add.reduceat(out_axons[p.name], cut[:-1]),
            bits[p.name],
            *_settings(p, profile, cut),
        )
    return found


def _index_bits(slices: int, profile: HardwareProfile, room: np.ndarray | None) -> np.ndarray:
    """Bits of an index on the core of each slice."""
    if room is None:
        room = np.full(slices, profile.limit("compartments_per_core"))
    return np.array([index_bits(int(compartments), profile) for compartments in room])


def _settings(p: Neurons, profile: HardwareProfile, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different settings of compartments and of thresholds in each slice."""
    groups = (_numbered([getattr(p, name) for name in names]) for names in setting_groups(p, profile))
    thresholds = _numbered([p.v_th] if isinstance(p, LIF) else [np.zeros(p.n)])
    return np.sum([_different(group, cut) for group in groups], axis=0), _different(thresholds, cut)


def _numbered(values: list[np.ndarray]) -> np.ndarray:
    """The number of the tuple that each neuron has."""
    number = np.zeros(len(values[0]), np.int64)
    for value in values:
        if (value != value[0]).any():
            known, which = np.unique(value, return_inverse=True)
            number = np.unique(number * len(known) + which, return_inverse=True)[1]
    return number


def _different(settings: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """How many different settings each slice has."""
    if not settings.any():
        return np.ones(len(cut) - 1, np.int64)
    return np.array([len(np.unique(settings[a:b])) for a, b in pairwise(cut)], np.int64)
