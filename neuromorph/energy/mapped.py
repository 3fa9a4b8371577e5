"""A graph as it lies on a chip: its map, what that asks of the chip, and how long an inference takes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuromorph.energy.latency import NEEDED, Latency, latency
from neuromorph.graph.graph import Graph
from neuromorph.hardware import HardwareProfile
from neuromorph.learning import Learning
from neuromorph.mapping import ChipMap, Load, Traffic, load_of, map_to_chip
from neuromorph.spikes import Spikes


@dataclass(frozen=True, eq=False)
class Mapped:
    """`traffic` and `load` by all samples; `latency` by those whose spikes were kept, None where the profile has no times."""

    found: ChipMap
    traffic: Traffic
    load: Load
    latency: Latency | None


def map_and_time(
    graph: Graph,
    profile: HardwareProfile,
    mean: Mapping[str, np.ndarray],
    kept: Mapping[str, Spikes],
    *,
    step_seconds: float = 0.0,
    seed: int = 0,
    learning: Learning | None = None,
) -> Mapped:
    """Map a graph by the `mean` spikes of every neuron in an inference; time it by the spikes `kept` of some samples, of every population
    that emits any. `step_seconds`: the least wall time of a step; `learning`: which synapses are plastic.

    Raises:
        ProfileError: the profile does not say how large cores are or how they lie.
        MappingError: a single neuron needs more than a core has.
    """
    found, messages = map_to_chip(graph, profile, mean, seed=seed, learning=learning)
    timed = latency(graph, found, kept, profile, step_seconds=step_seconds) if set(NEEDED) <= set(profile.time) else None
    return Mapped(found, messages, load_of(graph, found, mean, profile), timed)
