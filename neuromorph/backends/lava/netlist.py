"""A graph as Lava processes: which process stands for what, with which constants, wired how. Imports no Lava."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from neuromorph.backends.base import Kept
from neuromorph.backends.lava import plastic, stock
from neuromorph.backends.lava.filenames import input_file, place, saturation_file, signal_file, signal_place, synapses_place, trace_file
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, LIF, Neurons, Population, parameters
from neuromorph.graph.projections import Projection

Learning: TypeAlias = Literal["exact", "stock"]


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


def lower(graph: Graph, kept: Kept, learning: Learning = "exact") -> Netlist:
    """The netlist of a graph, with a record of what is `kept`. `learning`: see `LavaBackend`.

    Raises:
        BackendError: sums of weights that Lava's 32-bit messages cannot hold; a rule that Loihi's learning engine cannot express.
    """
    sources = [Process(place(graph, name), "FileSource", _source(graph, name)) for name in played(graph)]
    third = graph.third_factors
    signals = [Process(signal_place(graph, name), "FileSignal", {"n": n, "path": signal_file(graph, name)}) for name, n in third.items()]
    neurons = [_neurons(graph, p, kept) for p in graph.neurons]
    synapses: list[Process] = []
    connections: list[tuple[str, str, str, str]] = []
    for q in _live(graph):
        name = synapses_place(graph, q.name)
        made = _synapses(name, q, graph, kept, learning)
        synapses += made
        for process in made:
            connections.append((place(graph, q.source), "s_out", process.name, "s_in"))
            connections.append((process.name, "a_out", place(graph, q.target), "a_in"))
        connections += plastic.wires(graph, q, q.plasticity) if q.plasticity else []
    tag = "fixed_pt" if graph.precision == "integer" else "floating_pt"
    return Netlist(tag, (*sources, *signals, *neurons, *synapses), tuple(connections))


def _live(graph: Graph) -> list[Projection]:
    return [q for q in graph.projections if q.weights.any() or q.plasticity]


def _source(graph: Graph, name: str) -> dict[str, Any]:
    return {"n": graph.population(name).n, "path": input_file(graph, name)}


def _neurons(graph: Graph, p: Neurons, kept: Kept) -> Process:
    name = place(graph, p.name)
    common = {"n": p.n, "record": _record(graph, p, kept), "saturations": saturation_file(name)}
    heaviest = stock.heaviest_sum(graph, p.name)
    if isinstance(p, LI):
        return Process(name, "Readout", common, parameters(p))
    if _is_stock_lif(graph, p, heaviest):
        scalars, arrays = stock.lif_constants(p)
        return Process(name, "SampledLIF", {**common, **scalars}, arrays)
    none = np.zeros_like(p.decay_v)
    forms = {"reset": p.reset, "adaptation": p.adaptation if isinstance(p, ALIF) else "threshold"}
    return Process(name, "AdaptiveLIF", {**common, **forms}, {"decay_a": none, "kappa": none, **parameters(p)})


def _record(graph: Graph, p: Neurons, kept: Kept) -> dict[str, list[str]]:
    """File and type of each recorded variable."""
    number = "int64" if graph.precision == "integer" else "float64"
    return {x: [trace_file(place(graph, p.name), x), "bool" if x == "z" else number] for x in recorded(p, kept)}


def _synapses(name: str, q: Projection, graph: Graph, kept: Kept, learning: Learning) -> list[Process]:
    """One process; two where Lava's engine learns, whose weights are the plastic part alone."""
    rule = q.plasticity
    if rule is None:
        return [_fixed(name, q, graph)]
    if learning == "exact":
        return [Process(name, "PlasticSparse", plastic.arguments(graph, q, rule, kept), plastic.arrays(q, rule))]
    ends = {"rows": q.rows, "indices": q.indices}
    learned = Process(name, "SampledLearningDense", plastic.engine_arguments(graph, q, rule, kept), ends)
    return [learned, *([_fixed(f"{name}.fixed", q, graph)] if q.weights.any() else [])]


def _fixed(name: str, q: Projection, graph: Graph) -> Process:
    target = graph.population(q.target)
    weights = _weights(graph, q, target)
    if q.max_delay == 1 and not _rounds_as_reference(graph):
        sparse = {"shape": [target.n, q.n_source], "weight_exp": q.weight_exp, "sign_mode": q.sign_mode}
        return Process(name, "Sparse", sparse, stock.transposed(q, weights, target.n))
    arguments = {"n_source": q.n_source, "n_target": target.n, "weight_exp": q.weight_exp}
    return Process(name, "DelayedSparse", arguments, {"weights": weights, **{x: getattr(q, x) for x in ("indptr", "indices", "delays")}})


def _weights(graph: Graph, q: Projection, target: Population) -> np.ndarray:
    """Lava's LIF has no gain: onto such a population of floats it goes into the weights."""
    if isinstance(target, LIF) and q.weights.dtype == np.float64 and _is_stock_lif(graph, target, 0):
        return q.weights * target.gain[q.indices]
    return q.weights


def _is_stock_lif(graph: Graph, p: LIF, heaviest: int) -> bool:
    return stock.is_stock_lif(p, heaviest) and not _rounds_as_reference(graph)


def _rounds_as_reference(graph: Graph) -> bool:
    """Whether all processes are our own, which round floats as the reference does, bit for bit: learning may amplify a last digit."""
    return graph.precision == "float" and bool(graph.plastic)
