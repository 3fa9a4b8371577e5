"""Graphs as NIR that other tools read: neurons by their time constants, synapses as matrices, delays as nodes; what NIR lacks is refused.

Readers of NIR step by Euler's rule, so that time constants are those of which Euler's rule makes the graph's own decays.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.nir.file import NIRGraph, Node, Value


@dataclass(frozen=True)
class Exported:
    """`graph` for `write_nir`; `lost`: what it does not say of the graph that was given; `notes`: what it says otherwise."""

    graph: NIRGraph
    lost: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(eq=False)
class _Parts:
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    edges: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    names: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, wanted: str, kind: str, fields: Mapping[str, Value]) -> str:
        """A new node under the wanted name, or the next free one; NIR's readers make module names of it."""
        plain = re.sub(r"[^A-Za-z0-9_]", "_", wanted)
        name = plain if plain not in self.nodes else next(n for k in range(2, 10**9) if (n := f"{plain}_{k}") not in self.nodes)
        self.nodes[name] = Node(kind, fields)
        return name


def export_nir(graph: Graph, *, lossy: bool = False) -> Exported:
    """A float graph as NIR. Each population becomes a node, each projection a Linear (Affine where its target has a bias) and, where delays
    ask for them, Delays; a projection whose synapses differ in delay becomes one of each a delay.

    NIR's neurons take no time: a projection's first step is left out where populations do not form a loop.

    Raises:
        GraphError: the graph is in integers; or it has what NIR lacks (adaptation, a reset that subtracts, refractory periods,
            plasticity), all of which is named, and `lossy` is not asked for.
    """
    if graph.precision == "integer":
        raise GraphError("NIR export: the graph is in integers, NIR has no grid for them; export the float graph.")
    lost, notes = list(_lost(graph)), list[str]()
    if lost and not lossy:
        raise GraphError(f"NIR export: {'; '.join(lost)}. Ask for lossy to leave this out.")
    parts, always = _Parts(), _always(graph)
    for p in graph.populations:
        if p.name not in always:
            kind, fields = ("Input", {"shape": np.array([p.n])}) if isinstance(p, Input) else _neuron(p, graph.dt)
            parts.names[p.name] = parts.add(p.name, kind, fields)
    behind = _behind(graph, always)
    for p in graph.neurons:
        if p.name not in always:
            _connect(graph, p, parts, always, behind, notes)
    for name, source in _outputs(graph, always):
        node = parts.add(name, "Output", {"shape": np.array([graph.population(source).n])})
        parts.edges.append((parts.names[source], node))
    return Exported(NIRGraph(parts.nodes, parts.edges), tuple(lost), tuple(dict.fromkeys(notes)))


def _lost(graph: Graph) -> Iterator[str]:
    for p in graph.neurons:
        if isinstance(p, ALIF):
            yield f"population {p.name!r} adapts, for which NIR has no neuron"
        if isinstance(p, LIF) and p.reset == "subtract":
            yield f"population {p.name!r} resets by subtraction, NIR to a value"
        if isinstance(p, LIF) and p.n_ref.any():
            yield f"population {p.name!r} is refractory"
        if p.decay_u.any() and p.bias.any():
            yield f"population {p.name!r} has a bias behind its synaptic current"
        if (p.decay_v == 1).any() and ((p.decay_v < 1).any() or p.decay_u.any()):
            yield f"population {p.name!r} has neurons without a leak beside others, or with a synaptic current"
    for q in graph.plastic:
        yield f"projection {q.name!r} is plastic"


def _always(graph: Graph) -> set[str]:
    """Neurons without input that fire in every step: what the importer makes of biases."""
    return {
        p.name
        for p in graph.neurons
        if isinstance(p, LIF)
        and not isinstance(p, ALIF)
        and not graph.incoming(p.name)
        and p.reset == "to_value"
        and not p.n_ref.any()
        and (p.bias + p.decay_v * p.v_reset > p.v_th).all()
        and (p.bias > p.v_th).all()
    }


def _neuron(p: LI | LIF, dt: float) -> tuple[str, dict[str, Value]]:
    spiking = {"v_threshold": p.v_th, "v_reset": p.v_reset} if isinstance(p, LIF) else {}
    if (p.decay_v == 1).all():
        return ("IF" if spiking else "I"), {"r": p.gain, **spiking}
    if isinstance(p, LIF) and not (p.decay_v.any() or p.decay_u.any() or p.v_reset.any()) and (p.gain == 1).all():
        return "Threshold", {"threshold": p.v_th}
    leak = np.maximum(1 - p.decay_v, 1e-12)
    membrane = {"r": p.gain / leak, "v_leak": np.zeros(p.n), **spiking}
    if not p.decay_u.any():
        return ("LIF" if spiking else "LI"), {"tau": dt / leak, **membrane}
    decay = 1 - p.decay_u
    return ("CubaLIF" if spiking else "CubaLI"), {"tau_mem": dt / leak, "tau_syn": dt / decay, "w_in": 1 / decay, **membrane}


def _behind(graph: Graph, always: set[str]) -> dict[str, int]:
    """Steps that each population runs behind NIR's: as an import told, or as many as its inputs' nearest way takes, one a projection."""
    told = {p.name: graph.metadata.get(f"latency.{p.name}", "0") for p in graph.populations}
    if any(f"latency.{p.name}" in graph.metadata for p in graph.populations) and all(steps.isdecimal() for steps in told.values()):
        found = {name: int(steps) for name, steps in told.items()}
        if all(_hops(found, q) <= _least(q) for q in _between(graph, always)):
            return found
    found = dict.fromkeys(told, 0)
    for _ in graph.populations:
        for p in graph.neurons:
            ways = [found[q.source] + 1 for q in _between(graph, always) if q.target == p.name]
            found[p.name] = min(ways, default=0) if p.name not in always else 0
    return found


def _between(graph: Graph, always: set[str]) -> list[Projection]:
    return [q for q in graph.projections if q.source != q.target and q.source not in always]


def _least(q: Projection) -> int:
    return int(q.delays.min()) if len(q.delays) else 1


def _hops(behind: Mapping[str, int], q: Projection) -> int:
    return behind[q.target] - behind[q.source]


def _connect(graph: Graph, p: LI | LIF, parts: _Parts, always: set[str], behind: dict[str, int], notes: list[str]) -> None:
    """Everything onto a population; its bias joins the first projection's weights."""
    bias = np.zeros(p.n)
    if p.bias.any() and not p.decay_u.any():
        bias = bias + np.divide(p.bias, p.gain, out=np.zeros(p.n), where=p.gain != 0)
        notes.append("biases of neurons begin with the input, in the graph at its start")
    own = [q for q in graph.incoming(p.name) if q.source not in always]
    for q in (q for q in graph.incoming(p.name) if q.source in always):
        bias = bias + q.to_dense(p.n).sum(0)
        if (q.delays != behind[p.name]).any():
            notes.append(f"biases from {q.source!r} begin with the input")
    if not own:
        raise GraphError(f"NIR export: population {p.name!r} gets no input that NIR could name; connect or remove it.")
    for q in own:
        for delay in np.unique(q.delays) if q.n_synapses else [1]:
            chosen = q.delays == delay
            weights = np.zeros((p.n, q.n_source))
            weights[q.indices[chosen], q.rows[chosen]] = q.weights[chosen]
            steps = int(delay) - (1 if q.source == q.target and delay == 1 else 0 if q.source == q.target else _hops(behind, q))
            _way(parts, q, p, weights, bias, steps * graph.dt)
            bias = np.zeros(p.n)


def _way(parts: _Parts, q: Projection, p: LI | LIF, weights: np.ndarray, bias: np.ndarray, delay: float) -> None:
    """Delay before the weights, so that a bias is not delayed."""
    source, target = parts.names[q.source], parts.names[p.name]
    fields: dict[str, Value] = {"weight": weights, "bias": bias} if bias.any() else {"weight": weights}
    node = parts.add(f"w_{q.source}_{q.target}", "Affine" if bias.any() else "Linear", fields)
    if delay:
        late = parts.add(f"delay_{q.source}_{q.target}", "Delay", {"delay": np.full(q.n_source, delay)})
        parts.edges.append((source, late))
        source = late
    parts.edges += [(source, node), (node, target)]


def _outputs(graph: Graph, always: set[str]) -> Sequence[tuple[str, str]]:
    """Those of an import; else readouts; else populations that send nowhere; else all."""
    prefix = "nir.output."
    known = {p.name for p in graph.neurons}
    told = [(key.removeprefix(prefix), name) for key, name in graph.metadata.items() if key.startswith(prefix) and name in known]
    if told:
        return [(name if name != source else f"output_{name}", source) for name, source in told]
    senders = {q.source for q in graph.projections if q.source != q.target}
    of: Callable[[str], bool] = lambda name: name not in senders and name not in always  # noqa: E731
    found = [p.name for p in graph.readouts] or [p.name for p in graph.neurons if of(p.name)] or [p.name for p in graph.neurons]
    return [("output" if len(found) == 1 else f"output_{name}", name) for name in found]
