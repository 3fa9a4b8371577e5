"""NIR graphs as graphs of this package: what they say is kept, what they leave open is chosen and told, the rest is refused by name."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from scipy import sparse

from neuromorph.errors import FormatError
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.nir.drives import ALWAYS, Arriving, Drive, arriving
from neuromorph.nir.file import NIRGraph
from neuromorph.nir.flat import Flat, flatten
from neuromorph.nir.latency import Edge, Timing, timed
from neuromorph.nir.neurons import ANALOG, SPIKING, Stepping, always, population


@dataclass(frozen=True)
class Imported:
    """`graph` in floats; `assumptions`: what the file left open, a sentence each.

    The graph's metadata tells them, too: "nir.assumed", "nir.stepping"; and "latency.<population>", the steps that it runs behind the NIR
    graph, "nir.node.<population>", its node where that has another name, and "nir.output.<name>", the population that an Output reads.
    """

    graph: Graph
    assumptions: tuple[str, ...]


def import_nir(graph: NIRGraph, stepping: Stepping) -> Imported:
    """Input and spiking nodes become populations, linear nodes between them synapses; leaky integrators and what else an Output gets become
    readouts. Biases come from a neuron "always" that fires in every step, so that they begin when the input does.

    Raises:
        FormatError: what a graph cannot express; the message names the node and the reason.
    """
    flat = flatten(graph)
    found = arriving(flat, stepping.dt)
    _check(flat, found)
    names, outputs = _names(flat, found)
    drives = {path: drive for path, drive in found.drives.items() if path in names}
    edges = _edges(names, drives)
    biased = {names[path] for path, drive in drives.items() if any(source == ALWAYS for source, _ in drive)}
    biases = {ALWAYS: _free("always", set(names.values()))} if biased else {}
    timing = timed([*names.values()], edges, biased)
    populations = [
        *(Input(names[path], math.prod(found.shapes[path])) for path, node in flat.nodes.items() if node.kind == "Input"),
        *(always(name) for name in biases.values()),
        *(_made(names[path], path, flat, found, stepping) for path in drives),
    ]
    behind = Timing(timing.latency | dict.fromkeys(biases.values(), 0), timing.stretched)
    projections = [projection for path, drive in drives.items() for projection in _projections(names[path], drive, names | biases, behind)]
    told = _assumptions(flat, stepping, behind, biases)
    renamed = {f"nir.node.{name}": path for path, name in names.items() if name != path}
    metadata = {f"nir.output.{_name(path)}": name for path, name in outputs.items()} | renamed
    metadata |= {f"latency.{name}": str(steps) for name, steps in behind.latency.items() if steps}
    metadata |= {"nir.assumed": "\n".join(told), "nir.stepping": json.dumps(asdict(stepping))}
    return Imported(Graph(stepping.dt, tuple(populations), tuple(projections), metadata), tuple(told))


def _check(flat: Flat, found: Arriving) -> None:
    kinds = {path: node.kind for path, node in flat.nodes.items()}
    for kind in ("Input", "Output"):
        if kind not in kinds.values():
            raise FormatError(f"NIR: the graph has no {kind}; add one.")
    for path, drive in found.drives.items():
        for source, delay in drive:
            plain = kinds[path] == "Output" and delay == 0 and len(drive) == 1 and _is_identity(drive[source, delay])
            if kinds.get(source) in ANALOG and not plain:
                raise FormatError(
                    f"NIR node {source!r} ({kinds[source]}) gives a potential to {path!r} ({kinds[path]}); between populations a graph "
                    "sends spikes alone. Let an Output read it, or put a spiking neuron between."
                )


def _size(matrix: sparse.csr_array | sparse.coo_array) -> tuple[int, int]:
    rows, columns = matrix.shape or (0, 0)
    return rows, columns


def _is_identity(matrix: sparse.csr_array) -> bool:
    n, m = _size(matrix)
    return n == m and bool(abs(matrix - sparse.eye_array(n)).max() == 0)


def _names(flat: Flat, found: Arriving) -> tuple[dict[str, str], dict[str, str]]:
    """Populations' names by path; of each Output the population that gives it, one of its own where weights are on the way."""
    names: dict[str, str] = {}
    for path, node in flat.nodes.items():
        if node.kind in ("Input", *SPIKING, *ANALOG):
            names[path] = _free(_name(path), set(names.values()))
    outputs: dict[str, str] = {}
    for path, drive in found.drives.items():
        if flat.nodes[path].kind == "Output":
            ((source, delay), matrix), *others = drive.items()
            if not others and delay == 0 and flat.nodes.get(source) and flat.nodes[source].kind != "Input" and _is_identity(matrix):
                outputs[path] = names[source]
            else:
                outputs[path] = names[path] = _free(_name(path), set(names.values()))
    return names, outputs


def _name(path: str) -> str:
    """What a population may be called."""
    plain = re.sub(r"[^A-Za-z0-9_.>-]", "_", path.replace("/", "."))[:100]
    return plain if re.match(r"[A-Za-z0-9_]", plain) else f"_{plain}"


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else next(new for k in range(2, len(taken) + 3) if (new := f"{name}_{k}") not in taken)


def _edges(names: Mapping[str, str], drives: Mapping[str, Drive]) -> list[Edge]:
    least: dict[tuple[str, str], int] = {}
    for path, drive in drives.items():
        for source, delay in drive:
            if source != ALWAYS:
                ends = names[source], names[path]
                least[ends] = min(delay, least.get(ends, delay))
    return [Edge(source, target, delay) for (source, target), delay in least.items()]


def _made(name: str, path: str, flat: Flat, found: Arriving, stepping: Stepping) -> LIF | LI:
    n, node = math.prod(found.shapes[path]), flat.nodes[path]
    return LI.of(name, n, decay_v=0.0) if node.kind == "Output" else population(name, path, node, n, stepping)


def _projections(target: str, drive: Drive, names: Mapping[str, str], timing: Timing) -> Iterator[Projection]:
    """One from each source, or several where it reaches one neuron by ways of different delays."""
    sources = list(dict.fromkeys(source for source, _ in drive))
    for source in sources:
        edge = Edge(names[source], target, 0)
        parts = {timing.delay(edge, steps): matrix for (of, steps), matrix in sorted(drive.items(), key=str) if of == source}
        for index, (weights, delays) in enumerate(_apart(parts)):
            name = f"{edge.source}->{target}" + (f".{index + 1}" if index else "")
            ends = _size(weights)[1], weights.col, weights.row, weights.data
            yield Projection.from_entries(edge.source, target, *ends, delays=delays, name=name)


def _apart(parts: Mapping[int, sparse.csr_array]) -> Iterator[tuple[sparse.coo_array, np.ndarray]]:
    """Matrices by delay as few matrices [n, n_source] with a delay a synapse."""
    entries = [(matrix.tocoo(), delay) for delay, matrix in sorted(parts.items())]
    rows, columns, weights = (np.concatenate([getattr(m, of) for m, _ in entries]) for of in ("row", "col", "data"))
    delays = np.concatenate([np.full(m.nnz, delay) for m, delay in entries])
    shape = _size(entries[0][0])
    keep = weights != 0
    rows, columns, weights, delays = rows[keep], columns[keep], weights[keep], delays[keep]
    order = np.lexsort((delays, rows, columns))
    places = (columns.astype(np.int64) * shape[0] + rows)[order]
    turn = np.arange(len(places)) - np.searchsorted(places, places)
    for index in range(int(turn.max(initial=0)) + 1):
        chosen = order[turn == index]
        yield sparse.coo_array((weights[chosen], (rows[chosen], columns[chosen])), shape=shape), delays[chosen]


def _assumptions(flat: Flat, stepping: Stepping, timing: Timing, biases: Mapping[str, str]) -> list[str]:
    kinds = {node.kind for node in flat.nodes.values()}
    rule = (
        "v += dt / tau (v_leak - v + R I)" if stepping.discretisation == "euler" else "decay exp(-dt / tau), current constant within a step"
    )
    told = [
        f"dt is {stepping.dt:g} s; the file does not carry it.",
        f"Steps by {stepping.discretisation}: {rule}; potentials start at v_leak.",
    ]
    if kinds & {"LIF", "CubaLIF", "LI", "CubaLI"}:
        told.append(f"To leaky neurons a spike is a {'charge' if stepping.spikes == 'charge' else 'current for one step'}.")
    if kinds & {"I", "IF"}:
        told.append(f"To integrators a spike is a {'current for one step' if stepping.spikes == 'current' else 'charge'}.")
    told.append("Every projection takes a step: populations run behind the NIR graph by 'latency.<population>' steps (metadata).")
    told += [f"In the loop of {', '.join(loop)} each projection without a delay takes a step." for loop in timing.stretched]
    if biases:
        told.append(f"Biases are synapses from {next(iter(biases.values()))!r}, a neuron that fires in every step.")
    return told
