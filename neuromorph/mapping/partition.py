"""A graph divided among cores, no limit of which is exceeded: as few slices as fit, put together first-fit."""

from dataclasses import dataclass

import numpy as np

from neuromorph.errors import MappingError
from neuromorph.graph.graph import Graph
from neuromorph.hardware import HardwareProfile
from neuromorph.learning import Learning
from neuromorph.mapping.cut import RESOURCES, Bounds, Demand, demands, even, limits
from neuromorph.shapes import Int64

WORDS = {
    "compartments": ("compartments", "choose a chip with larger cores"),
    "in_axons": ("input axons", "raise the sparsity of what comes in, so that a neuron has fewer sources"),
    "out_axons": (
        "output axons",
        "raise the sparsity of what goes out, or choose a chip with larger cores, so that a neuron reaches fewer cores",
    ),
    "synapse_bits": ("bits of synaptic memory", "raise the sparsity, or give the synapses one delay"),
    "compartment_profiles": ("compartment settings", "cluster the time constants"),
    "vth_profiles": ("threshold settings", "cluster the thresholds"),
}
"""What resources are called, and what to do where one neuron alone needs too much of them."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Slices of populations on cores: by population `bounds` and the `core` of each slice; `used` [cores] of each resource."""

    graph_digest: str
    profile: str
    bounds: Bounds
    core: dict[str, Int64[np.ndarray, " slices"]]
    used: dict[str, Int64[np.ndarray, " cores"]]

    @property
    def n_cores(self) -> int:
        return len(self.used["compartments"])

    def allocated(self, profile: HardwareProfile) -> Int64[np.ndarray, " cores"]:
        """Compartments of each core that are updated at every step, in the groups that the chip updates at once."""
        group = profile.limit("compartment_group") if "compartment_group" in profile.limits else 1
        return -(-self.used["compartments"] // group) * group

    def core_of(self, name: str) -> Int64[np.ndarray, " n"]:
        """The core of every neuron of a population."""
        return np.repeat(self.core[name], np.diff(self.bounds[name]))


def partition(graph: Graph, profile: HardwareProfile, learning: Learning | None = None) -> Partition:
    """Divide the neurons among cores. `learning`: which synapses are plastic, by default those of the graph's rules.

    Raises:
        ProfileError: the profile does not say how many compartments a core has.
        MappingError: a single neuron needs more than a core has; the message names it and the remedy.
    """
    limit, learning = limits(profile), learning or Learning.of(graph)
    bounds, found = _cut(graph, profile, limit, learning)
    allowed = np.array([limit.get(r, np.iinfo(np.int64).max) for r in RESOURCES])
    core, used = _pack(np.concatenate([_table(demand) for demand in found.values()]), allowed)
    ends = np.cumsum([len(demand.compartments) for demand in found.values()])
    core_of = dict(zip(found, np.split(core, ends[:-1])))
    exact = demands(graph, bounds, profile, {name: used[cores, 0] for name, cores in core_of.items()}, learning)
    used = np.zeros_like(used)
    for name, demand in exact.items():
        np.add.at(used, core_of[name], _table(demand))
    return Partition(graph.digest(), profile.id, bounds, core_of, dict(zip(RESOURCES, used.T.copy())))


def _table(demand: Demand) -> Int64[np.ndarray, "slices resources"]:
    return np.stack([getattr(demand, resource) for resource in RESOURCES], 1)


def _cut(graph: Graph, profile: HardwareProfile, limit: dict[str, int], learning: Learning | None) -> tuple[Bounds, dict[str, Demand]]:
    """The fewest slices of each population that fit a core each, growing where one does not."""
    slices = {p.name: 1 for p in graph.neurons}
    while True:
        bounds = {p.name: even(p.n, slices[p.name]) for p in graph.neurons}
        found = demands(graph, bounds, profile, learning=learning)
        wanted = {p.name: _slices(p.name, p.n, slices[p.name], found[p.name], limit) for p in graph.neurons}
        if wanted == slices:
            return bounds, found
        slices = wanted


def _slices(name: str, n: int, now: int, demand: Demand, limit: dict[str, int]) -> int:
    """Slices that the population should have, so that none exceeds a limit: estimated from the excess of now."""
    excess = {r: float(getattr(demand, r).max()) / limit[r] for r in limit}
    worst = max(excess, key=excess.__getitem__)
    if excess[worst] <= 1:
        return now
    if now == n:
        what, remedy = WORDS[worst]
        raise MappingError(
            f"Population {name!r}: one neuron alone needs {int(getattr(demand, worst).max())} {what}, a core has {limit[worst]}; {remedy}."
        )
    return min(n, max(now + 1, int(np.ceil(now * min(excess[worst], 64)))))


def _pack(asked: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First fit: the core of each slice [slices], and what is used of it [cores, resources]."""
    used = np.zeros((0, len(allowed)), np.int64)
    core = np.zeros(len(asked), np.int64)
    for i, wants in enumerate(asked):
        fits = np.flatnonzero((used + wants <= allowed).all(1))
        if not len(fits):
            used = np.vstack([used, np.zeros_like(wants)])
        core[i] = fits[0] if len(fits) else len(used) - 1
        used[core[i]] += wants
    return core, used
