"""A graph as Lava processes: which process stands for what, with which constants, wired how. Imports no Lava."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.lava import stock
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, LIF, Neurons, Population, parameters
from neuromorph.graph.projections import Projection


@dataclass(frozen=True)
class Process:
    """One Lava process: its class, plain arguments, arrays."""

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])


@dataclass(frozen=True)
class Netlist:
    """Lava processes and their connections (source, port, target, port); `tag` picks their models."""

    tag: str
    processes: tuple[Process, ...]
    connections: tuple[tuple[str, str, str, str], ...]

    def write(self, path: str | os.PathLike[str]) -> None:
        """The file (.npz) that the worker reads."""
        header = {
            "tag": self.tag,
            "processes": [{"name": p.name, "kind": p.kind, "arguments": dict(p.arguments)} for p in self.processes],
            "connections": self.connections,
        }
        arrays: dict[str, Any] = {f"{p.name}/{name}": array for p in self.processes for name, array in p.arrays.items()}
        np.savez(path, netlist=np.array(json.dumps(header)), **arrays)


def input_file(graph: Graph, population: str) -> str:
    """Name of the file from which an Input's spikes are played."""
    return f"{_place(graph, population)}.npy"


def trace_file(graph: Graph, population: str, variable: str) -> str:
    """Name of the file that takes the record of a variable ("z", "v", "a")."""
    return f"{_place(graph, population)}.{variable}.npy"


def saturation_file(graph: Graph, population: str) -> str:
    """Name of the file that a population writes its saturation counts to."""
    return f"{_place(graph, population)}.saturations.json"


def recorded(p: Neurons, kept: Kept) -> tuple[str, ...]:
    """Variables of a population that a run records: v of a readout, spikes of others, v and a where asked for."""
    if isinstance(p, LI):
        return ("v",)
    spikes = ("z",) if p.name in kept.spikes else ()
    traces = ("v", "a") if isinstance(p, ALIF) else ("v",)
    return spikes + traces if p.name in kept.states else spikes


def played(graph: Graph) -> list[str]:
    """Input populations that drive something."""
    return [p.name for p in graph.inputs if any(q.source == p.name for q in _live(graph))]


def lower(graph: Graph, kept: Kept) -> Netlist:
    """The netlist of a graph, with a record of what is `kept`.

    Raises:
        BackendError: sums of weights that Lava's 32-bit messages cannot hold.
    """
    sources = [Process(_place(graph, name), "FileSource", _source(graph, name)) for name in played(graph)]
    neurons = [_neurons(graph, p, kept) for p in graph.neurons]
    synapses: list[Process] = []
    connections: list[tuple[str, str, str, str]] = []
    for number, q in enumerate(_live(graph)):
        name = f"projection{number}"
        synapses.append(_synapses(name, q, graph))
        connections.append((_place(graph, q.source), "s_out", name, "s_in"))
        connections.append((name, "a_out", _place(graph, q.target), "a_in"))
    tag = "fixed_pt" if graph.precision == "integer" else "floating_pt"
    return Netlist(tag, (*sources, *neurons, *synapses), tuple(connections))


def _live(graph: Graph) -> list[Projection]:
    return [q for q in graph.projections if q.weights.any()]


def _place(graph: Graph, population: str) -> str:
    return f"population{[p.name for p in graph.populations].index(population)}"


def _source(graph: Graph, name: str) -> dict[str, Any]:
    return {"n": graph.population(name).n, "path": input_file(graph, name)}


def _neurons(graph: Graph, p: Neurons, kept: Kept) -> Process:
    common = {"n": p.n, "record": _record(graph, p, kept), "saturations": saturation_file(graph, p.name)}
    name = _place(graph, p.name)
    heaviest = stock.heaviest_sum(graph, p.name)
    if isinstance(p, LI):
        return Process(name, "Readout", common, parameters(p))
    if stock.is_stock_lif(p, heaviest):
        scalars, arrays = stock.lif_constants(p)
        return Process(name, "SampledLIF", {**common, **scalars}, arrays)
    none = np.zeros_like(p.decay_v)
    forms = {"reset": p.reset, "adaptation": p.adaptation if isinstance(p, ALIF) else "threshold"}
    return Process(name, "AdaptiveLIF", {**common, **forms}, {"decay_a": none, "kappa": none, **parameters(p)})


def _record(graph: Graph, p: Neurons, kept: Kept) -> dict[str, list[str]]:
    """File and type of each recorded variable."""
    number = "int64" if graph.precision == "integer" else "float64"
    return {x: [trace_file(graph, p.name, x), "bool" if x == "z" else number] for x in recorded(p, kept)}


def _synapses(name: str, q: Projection, graph: Graph) -> Process:
    target = graph.population(q.target)
    weights = _weights(q, target)
    if q.max_delay == 1:
        sparse = {"shape": [target.n, q.n_source], "weight_exp": q.weight_exp, "sign_mode": q.sign_mode}
        return Process(name, "Sparse", sparse, stock.transposed(q, weights, target.n))
    arguments = {"n_source": q.n_source, "n_target": target.n, "weight_exp": q.weight_exp}
    return Process(name, "DelayedSparse", arguments, {"weights": weights, **{x: getattr(q, x) for x in ("indptr", "indices", "delays")}})


def _weights(q: Projection, target: Population) -> np.ndarray:
    """Lava's LIF has no gain: onto such a population of floats it goes into the weights."""
    if isinstance(target, LIF) and q.weights.dtype == np.float64 and stock.is_stock_lif(target, 0):
        return q.weights * target.gain[q.indices]
    return q.weights
