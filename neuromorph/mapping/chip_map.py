"""A graph on a chip: which neurons lie on which core, and where the core lies. Saved as JSON, for people and programs."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neuromorph.errors import FormatError
from neuromorph.files import atomic_write
from neuromorph.graph.graph import Graph
from neuromorph.hardware import HardwareProfile
from neuromorph.learning import Learning
from neuromorph.mapping.cut import limits
from neuromorph.mapping.load import Load
from neuromorph.mapping.mesh import Mesh
from neuromorph.mapping.partition import Partition, partition
from neuromorph.mapping.placement import Placement, place
from neuromorph.mapping.traffic import Traffic, traffic

FORMAT = "neuromorph.chip_map/1"


@dataclass(frozen=True, eq=False)
class ChipMap:
    """The `partition` of a graph and the `placement` of its cores."""

    partition: Partition
    placement: Placement

    @property
    def mesh(self) -> Mesh:
        return self.placement.mesh

    def fullness(self, profile: HardwareProfile) -> dict[int, float]:
        """By physical core in use: the largest share of a resource that is used."""
        share = np.max([self.partition.used[resource] / allowed for resource, allowed in limits(profile).items()], 0)
        return dict(zip(self.placement.slot.tolist(), share.tolist()))

    def to_dict(self) -> dict[str, Any]:
        column, row, chip = (each.tolist() for each in self.mesh.position(self.placement.slot))
        slices = [(name, k) for name, cores in self.partition.core.items() for k in range(len(cores))]
        on = {core: [s for s in slices if self.partition.core[s[0]][s[1]] == core] for core in range(self.partition.n_cores)}
        cores = [
            {
                "core": int(self.placement.slot[core]),
                "chip": chip[core],
                "column": column[core],
                "row": row[core],
                "slices": [[name, *self.partition.bounds[name][k : k + 2].tolist()] for name, k in on[core]],
                "used": {resource: int(used[core]) for resource, used in self.partition.used.items()},
            }
            for core in on
        ]
        return {
            "format": FORMAT,
            "graph": self.partition.graph_digest,
            "profile": self.partition.profile,
            "mesh": asdict(self.mesh),
            "message_hops": self.placement.cost,
            "message_hops_in_order": self.placement.greedy_cost,
            "cores": cores,
        }


def map_to_chip(
    graph: Graph,
    profile: HardwareProfile,
    spikes: Mapping[str, np.ndarray] | None = None,
    *,
    starts: int = 4,
    seed: int = 0,
    learning: Learning | None = None,
) -> tuple[ChipMap, Traffic]:
    """Divide a graph among cores and place these so that the messages of its `spikes` (see `traffic`) pass few routers.
    `learning`: which synapses are plastic.

    Raises:
        ProfileError: the profile does not say how large cores are or how they lie.
        MappingError: a single neuron needs more than a core has.
    """
    divided = partition(graph, profile, learning)
    messages = traffic(graph, divided, spikes)
    return ChipMap(divided, place(messages, Mesh.of(profile, divided.n_cores), starts=starts, seed=seed)), messages


def load_of(graph: Graph, found: ChipMap, spikes: Mapping[str, np.ndarray], profile: HardwareProfile) -> Load:
    """The load of a map by the `spikes` of every neuron in the mean inference [n], by population that emits any."""
    slot, sent = found.placement.slot, traffic(graph, found.partition, spikes)
    ew, ns = found.mesh.hops(slot[:, None], slot[None, :])
    in_ew, in_ns = found.mesh.hops(np.zeros_like(slot), slot)
    borders, in_borders = found.mesh.crossings(slot[:, None], slot[None, :]), found.mesh.crossings(np.zeros_like(slot), slot)
    return Load(
        found.partition.graph_digest,
        found.partition.profile,
        found.partition.n_cores,
        int(found.partition.allocated(profile).sum()),
        float(sent.between.sum() + sent.entering.sum()),
        float((sent.between * ew).sum() + sent.entering @ in_ew),
        float((sent.between * ns).sum() + sent.entering @ in_ns),
        float((sent.between * borders).sum() + sent.entering @ in_borders),
    )


def load_on(graph: Graph, profile: HardwareProfile, spikes: Mapping[str, np.ndarray], *, seed: int = 0) -> Load:
    """The load of a graph that is mapped on the chip by these spikes.

    Raises:
        ProfileError: the profile does not say how large cores are or how they lie.
        MappingError: a single neuron needs more than a core has.
    """
    return load_of(graph, map_to_chip(graph, profile, spikes, seed=seed)[0], spikes, profile)


def save_map(path: str | os.PathLike[str], found: ChipMap, load: Load | None = None) -> None:
    """Write a map as JSON, atomically, and its `load` beside it, which reading the map leaves out."""
    beside = {"load": asdict(load)} if load else {}
    atomic_write(path, (json.dumps(found.to_dict() | beside, indent=1) + "\n").encode())


def load_map(path: str | os.PathLike[str], graph: Graph) -> ChipMap:
    """Read the map of a graph.

    Raises:
        FormatError: the file is no map, or is that of another graph.
    """
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
        found = _read(raw) if raw["format"] == FORMAT else None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise FormatError(f"{path}: not a chip map ({error!r}); make one with `neuromorph map`.") from error
    if found is None:
        raise FormatError(f"{path}: its format is {raw['format']!r}; wanted {FORMAT!r}.")
    if found.partition.graph_digest != graph.digest():
        raise FormatError(
            f"{path}: it maps graph {found.partition.graph_digest[:12]}, the graph given is {graph.digest()[:12]}; map this one anew."
        )
    if fault := _fault(found, graph):
        raise FormatError(f"{path}: {fault}; the file was edited or damaged, map the graph anew.")
    return found


def _fault(found: ChipMap, graph: Graph) -> str | None:
    """What keeps a map from being one of this graph: neurons without a core, or two cores in one place."""
    bounds, slot = found.partition.bounds, found.placement.slot
    if set(bounds) != {p.name for p in graph.neurons}:
        return f"it has slices of {', '.join(bounds)}"
    for p in graph.neurons:
        cut = bounds[p.name]
        if cut[0] != 0 or cut[-1] != p.n or (np.diff(cut) <= 0).any() or len(found.partition.core[p.name]) != len(cut) - 1:
            return f"slices of {p.name!r} do not cover its {p.n} neurons"
    if len(np.unique(slot)) != len(slot) or slot.min() < 0 or slot.max() >= found.mesh.n_cores:
        return f"cores lie at {', '.join(map(str, slot))} of {found.mesh.n_cores} places"
    return None


def _read(raw: dict[str, Any]) -> ChipMap:
    slices = sorted((name, first, last, core) for core, each in enumerate(raw["cores"]) for name, first, last in each["slices"])
    names = list(dict.fromkeys(name for name, *_ in slices))
    own = {name: [(first, last, core) for other, first, last, core in slices if other == name] for name in names}
    if any(a[1] != b[0] for each in own.values() for a, b in pairwise(each)):
        raise ValueError("the slices of a population do not follow each other")
    divided = Partition(
        str(raw["graph"]),
        str(raw["profile"]),
        {name: np.array([first for first, _, _ in each] + [each[-1][1]], np.int64) for name, each in own.items()},
        {name: np.array([core for _, _, core in each], np.int64) for name, each in own.items()},
        {resource: np.array([each["used"][resource] for each in raw["cores"]], np.int64) for resource in raw["cores"][0]["used"]},
    )
    slot = np.array([each["core"] for each in raw["cores"]], np.int64)
    return ChipMap(divided, Placement(Mesh(**raw["mesh"]), slot, float(raw["message_hops"]), float(raw["message_hops_in_order"])))
