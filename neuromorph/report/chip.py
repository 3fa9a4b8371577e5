"""The chip's part of a run's report: the map as it lies in the folder, the machines compared with."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuromorph.errors import FormatError
from neuromorph.graph import Graph
from neuromorph.hardware import HardwareProfile, load_profile
from neuromorph.mapping import ChipMap, load_map


@dataclass(frozen=True, eq=False)
class OnChip:
    """The map of a run's integer graph, and the chip that it is for."""

    found: ChipMap
    profile: HardwareProfile


def read_map(path: Path, graph: Graph | None, name: str | None) -> OnChip:
    """Read the map of a graph. `name`: what the run called its profile; by default the map's own id.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it is no map, that of another graph or chip, or there is no graph.
        ProfileError: there is no such profile.
    """
    found = load_map(path, _present(path, graph))
    profile = load_profile(name or found.partition.profile)
    if profile.id != found.partition.profile:
        raise FormatError(f"it is for {found.partition.profile}, the run for {profile.id}.")
    return OnChip(found, profile)


def read_mean_spikes(path: Path, graph: Graph | None) -> dict[str, np.ndarray]:
    """Read the spikes of every neuron in the mean inference [n], by population that emits any.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it holds no such numbers, or not those of this graph.
    """
    graph = _present(path, graph)
    try:
        mean = {name: np.array(each, np.float64) for name, each in json.loads(path.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"it holds no lists of numbers by population ({error}); run the demo again.") from error
    for name in dict.fromkeys(q.source for q in graph.projections):
        n = graph.population(name).n
        if name not in mean or mean[name].shape != (n,) or not (mean[name] >= 0).all() or not np.isfinite(mean[name]).all():
            raise FormatError(f"it does not hold a number for each of the {n} neurons of {name!r}; run the demo again.")
    return mean


def _present(path: Path, graph: Graph | None) -> Graph:
    if not path.is_file():
        raise FileNotFoundError(path)
    if graph is None:
        raise FormatError("it is of the integer graph, which is not there.")
    return graph


def compared(machines: Iterable[Mapping[str, Any]], meetings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each network its machines, each with where the chips meet it, by chip."""
    met: dict[Any, dict[Any, Mapping[str, Any]]] = {}
    for m in meetings:
        met.setdefault((m.get("network"), m.get("machine")), {})[m.get("profile")] = m
    networks: dict[Any, list[dict[str, Any]]] = {}
    for c in machines:
        networks.setdefault(c.get("network"), []).append({**c, "meets": met.get((c.get("network"), c.get("machine")), {})})
    return [{"name": name, "macs": own[0].get("macs"), "machines": own} for name, own in networks.items()]
