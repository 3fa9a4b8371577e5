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
from neuromorph.graph.populations import ALIF, LI, LIF, Input, Neurons, Population, parameters
from neuromorph.graph.projections import Projection
from neuromorph.spikes import Spikes

PORTS = {"z": "s_out", "v": "v_out", "a": "b_out"}
PROGRESS = "progress"


@dataclass(frozen=True)
class Process:
    """One Lava process: its class, plain arguments, arrays."""

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])


@dataclass(frozen=True)
class Netlist:
    """`n_total` Lava steps (samples one after the other) of `processes`; connections are (source, port, target, port)."""

    tag: str
    n_total: int
    processes: tuple[Process, ...]
    connections: tuple[tuple[str, str, str, str], ...]

    @property
    def n_sinks(self) -> int:
        return sum(p.kind == "FileSink" for p in self.processes)

    def write(self, path: str | os.PathLike[str]) -> None:
        """The job file (.npz) that the worker reads."""
        header = {
            "tag": self.tag,
            "n_total": self.n_total,
            "processes": [{"name": p.name, "kind": p.kind, "arguments": dict(p.arguments)} for p in self.processes],
            "connections": self.connections,
        }
        arrays: dict[str, Any] = {f"{p.name}/{name}": array for p in self.processes for name, array in p.arrays.items()}
        np.savez(path, netlist=np.array(json.dumps(header)), **arrays)


def trace_file(graph: Graph, population: str, variable: str) -> str:
    """Name of the file that the sink of a variable ("z", "v", "a") writes."""
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


def lower(graph: Graph, inputs: Mapping[str, Spikes], kept: Kept) -> Netlist:
    """The netlist that simulates every sample of `inputs` in one long run.

    Raises:
        BackendError: sums of weights that Lava's 32-bit messages cannot hold.
    """
    n_steps, n_samples, _ = next(iter(inputs.values())).shape
    clock = {"n_steps": n_steps, "n_total": n_steps * n_samples}
    processes: list[Process] = []
    connections: list[tuple[str, str, str, str]] = []
    live = [q for q in graph.projections if q.weights.any()]
    for p in graph.populations:
        name = _place(graph, p.name)
        if isinstance(p, Input):
            if any(q.source == p.name for q in live):
                processes.append(Process(name, "RingBuffer", arrays={"data": _raster(inputs[p.name])}))
            continue
        processes.append(_neurons(graph, p, clock))
        for variable in recorded(p, kept):
            processes.append(_sink(graph, p, variable, clock))
            connections.append((name, PORTS[variable], f"{name}.{variable}", "a_in"))
    for number, q in enumerate(live):
        processes.append(_synapses(f"projection{number}", q, graph, clock))
        connections.append((_place(graph, q.source), "s_out", f"projection{number}", "s_in"))
        connections.append((f"projection{number}", "a_out", _place(graph, q.target), "a_in"))
    tag = "fixed_pt" if graph.precision == "integer" else "floating_pt"
    return Netlist(tag, clock["n_total"], tuple(processes), tuple(connections))


def _place(graph: Graph, population: str) -> str:
    return f"population{[p.name for p in graph.populations].index(population)}"


def _raster(spikes: Spikes) -> np.ndarray:
    """[n_neurons, n_samples * n_steps], as Lava's RingBuffer plays it."""
    data = np.zeros((spikes.n_neurons, spikes.n_samples * spikes.n_steps), dtype=np.uint8)
    data[spikes.neuron, spikes.sample.astype(np.int64) * spikes.n_steps + spikes.step] = 1
    return data


def _neurons(graph: Graph, p: Neurons, clock: Mapping[str, int]) -> Process:
    common = {"n": p.n, **clock, "saturations": saturation_file(graph, p.name)}
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


def _sink(graph: Graph, p: Neurons, variable: str, clock: Mapping[str, int]) -> Process:
    dtype = "uint8" if variable == "z" else "int64" if graph.precision == "integer" else "float64"
    path = trace_file(graph, p.name, variable)
    return Process(
        f"{_place(graph, p.name)}.{variable}", "FileSink", {"n": p.n, **clock, "dtype": dtype, "path": path, "progress": PROGRESS}
    )


def _synapses(name: str, q: Projection, graph: Graph, clock: Mapping[str, int]) -> Process:
    target = graph.population(q.target)
    weights = _weights(q, target)
    if q.max_delay == 1:
        sparse = {"shape": [target.n, q.n_source], "weight_exp": q.weight_exp, "sign_mode": q.sign_mode}
        return Process(name, "Sparse", sparse, stock.transposed(q, weights, target.n))
    arguments = {"n_source": q.n_source, "n_target": target.n, "weight_exp": q.weight_exp, "n_steps": clock["n_steps"]}
    return Process(name, "DelayedSparse", arguments, {"weights": weights, **{x: getattr(q, x) for x in ("indptr", "indices", "delays")}})


def _weights(q: Projection, target: Population) -> np.ndarray:
    """Lava's LIF has no gain: onto such a population of floats it goes into the weights."""
    if isinstance(target, LIF) and q.weights.dtype == np.float64 and stock.is_stock_lif(target, 0):
        return q.weights * target.gain[q.indices]
    return q.weights
