"""Plastic projections as the tables that `learning` reads: synapses in rows by source, each row at a multiple of 16 numbers."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from neuromorph.backends.fast.layout import WORD, Layout, bits
from neuromorph.backends.fast.wiring import Lines
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import NUMBERS, RULES, Plasticity
from neuromorph.graph.projections import Projection
from neuromorph.simd.buffers import zeros

NAMES = ("pre", "post", "M", "E")
"""What can saturate, in the order in which it is counted."""
PRE, POST, M, E = range(len(NAMES))
HEBBIAN, MODULATED, RETROACTIVE = range(len(RULES))
SYNAPSE = 0x27D4EB2F
"""What the hash of `graph.plasticity.random_bits` multiplies the number of a synapse by."""
DENSE_UP_TO = 3
"""Neurons between the first and the last target of a row for each of its synapses, up to which holes cost less than a list of targets."""


class Rules(NamedTuple):
    """Plastic projections: numbers by projection, then by row, then by place of a synapse.

    `line`: see `wiring.Lines`. `kind`: number in `graph.plasticity.RULES`. Presynaptic traces are those from `pre` on, postsynaptic ones
    from `post` on, rows those from `rows` on; `place`: of the first target. Then the numbers of `graph.plasticity`; `kept`: what E keeps of
    itself; traces of floats have steps of 1 and no largest number.

    A row of `size` places begins at `first`. If it has a `target` >= 0, its places are those of the neurons from there on, with holes where
    is no synapse; else it is a list, and `targets` tells the neuron of each place. `own` [words]: the places that are synapses. `weight`: 0
    in integer graphs, where fixed weights travel with all others. `hashed`: what a synapse adds to the hash that rounds. `n_pre`,
    `n_post`: traces in all; `widest`: targets of a projection at most, rounded up.
    """

    line: np.ndarray
    kind: np.ndarray
    n_source: np.ndarray
    n_target: np.ndarray
    place: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    rows: np.ndarray
    eta: np.ndarray
    kept: np.ndarray
    decay_pre: np.ndarray
    decay_post: np.ndarray
    post_offset: np.ndarray
    third_limit: np.ndarray
    clip: np.ndarray
    pre_step: np.ndarray
    post_step: np.ndarray
    trace_max: np.ndarray
    third_shift: np.ndarray
    change_shift: np.ndarray
    eligibility_shift: np.ndarray
    eligibility_max: np.ndarray
    stochastic: np.ndarray
    seed: np.ndarray
    first: np.ndarray
    size: np.ndarray
    target: np.ndarray
    own: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    alpha: np.ndarray
    hashed: np.ndarray
    n_pre: int
    n_post: int
    widest: int


class Third(NamedTuple):
    """Third factors of a run. `values` [steps, samples, columns]: signals, from step `step` on, of the samples from number `sample` on.
    Those of a projection are `width` columns (none: it has no third factor) from `first` on, or v of as many places if `readout`.
    """

    values: np.ndarray
    step: int
    sample: int
    first: np.ndarray
    width: np.ndarray
    readout: np.ndarray


class Synapses(NamedTuple):
    """What changes: traces `pre`, `post`; `H`, `E` by place of a synapse. Of the projection at hand, `q` and `m` by target, and behind
    `widest` the same by synapse of a row.
    """

    pre: np.ndarray
    post: np.ndarray
    H: np.ndarray
    E: np.ndarray
    q: np.ndarray
    m: np.ndarray


class Learned(NamedTuple):
    """What is kept: `H`, `E` [steps, samples, kept] of the places `kept`; `saturated` [projections, NAMES]."""

    H: np.ndarray
    E: np.ndarray
    kept: np.ndarray
    saturated: np.ndarray


class Plastic(NamedTuple):
    """All that the kernel knows of the plastic synapses of a graph."""

    rules: Rules
    third: Third
    synapses: Synapses
    learned: Learned


def rules(graph: Graph, layout: Layout, lines: Lines, dtype: Any) -> Rules:
    """The tables of the plastic projections of a graph that has some."""
    sizes = [(q.n_source, graph.population(q.target).n) for q in graph.plastic]
    n_source, n_target = np.array(sizes, np.int64).T.copy()
    size, target = (np.concatenate(each) for each in zip(*(_shape(q) for q in graph.plastic)))
    words = -(-size // WORD)
    first = (np.cumsum(words) - words) * WORD
    return Rules(
        line=np.array([np.flatnonzero(lines.plastic == k)[0] for k in range(len(sizes))], np.int64),
        kind=np.array([RULES.index(rule.rule) for _, rule in _each(graph)], np.int64),
        n_source=n_source,
        n_target=n_target,
        place=np.array([layout.place[q.target] for q in graph.plastic], np.int64),
        pre=np.cumsum(n_source) - n_source,
        post=np.cumsum(n_target) - n_target,
        rows=np.cumsum(n_source) - n_source,
        **_numbers(graph, dtype),
        first=first,
        size=size,
        target=target,
        **_synapses(graph, places(graph, first, target), int(words.sum()) * WORD, dtype),
        n_pre=int(n_source.sum()),
        n_post=int(n_target.sum()),
        widest=-(-int(n_target.max()) // WORD) * WORD + WORD,
    )


def places(graph: Graph, first: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """Places of the synapses of each plastic projection; the arguments are those of `Rules`."""
    found, row = dict[str, np.ndarray](), 0
    for q in graph.plastic:
        begin, dense = first[row + q.rows], target[row + q.rows]
        found[q.name] = begin + np.where(dense < 0, np.arange(q.n_synapses) - q.indptr[q.rows], q.indices - dense)
        row += q.n_source
    return found


def _shape(q: Projection) -> tuple[np.ndarray, np.ndarray]:
    """`size` and `target` of the rows of a projection."""
    count = np.diff(q.indptr)
    some, target, span = count > 0, np.zeros_like(count), np.zeros_like(count)
    target[some] = q.indices[q.indptr[:-1][some]]
    span[some] = q.indices[q.indptr[1:][some] - 1] - target[some] + 1
    dense = span <= DENSE_UP_TO * count
    return np.where(dense, span, count), np.where(dense, target, -1)


def _synapses(graph: Graph, place: dict[str, np.ndarray], total: int, dtype: Any) -> dict[str, np.ndarray]:
    """Fields of `Rules` by place."""
    targets, hashed = zeros((total,), np.int32), zeros((total,), np.int32)
    weight, alpha, own = zeros((total,), dtype), zeros((total,), dtype), np.zeros(total, np.bool_)
    for q, rule in _each(graph):
        at = place[q.name]
        own[at], targets[at], alpha[at] = True, q.indices, rule.alpha
        hashed[at] = (np.arange(q.n_synapses) * SYNAPSE).astype(np.uint32).view(np.int32)
        if rule.fixed is None:
            weight[at] = q.weights
    return {"targets": targets, "hashed": hashed, "weight": weight, "alpha": alpha, "own": bits(own)}


def third(graph: Graph, layout: Layout, signals: Mapping[str, np.ndarray], *, sample: int = 0) -> Third:
    """Signals by name [steps, samples, 1 or n], as `base.prepare` gives them, for the plastic projections of a graph."""
    ends = np.cumsum([0, *(signal.shape[2] for signal in signals.values())])
    column = {name: (int(end), signal.shape[2], 0) for end, (name, signal) in zip(ends, signals.items())}
    column |= {p.name: (layout.place[p.name], p.n, 1) for p in graph.readouts} | {"": (0, 0, 0)}
    first, width, readout = np.array([column[rule.third_factor] for _, rule in _each(graph)], np.int64).T.copy()
    number = np.float64 if graph.precision == "float" else np.int64
    values = np.concatenate(list(signals.values()), axis=2) if signals else np.zeros((0, 0, 0), number)
    return Third(np.ascontiguousarray(values), 0, sample, first, width, readout)


def synapses(g: Rules) -> Synapses:
    """Working memory of one thread."""
    sizes = g.n_pre, g.n_post, len(g.alpha), len(g.alpha), 2 * g.widest, 2 * g.widest
    return Synapses(*(zeros((size,), g.alpha.dtype) for size in sizes))


def saturations(graph: Graph, saturated: np.ndarray) -> dict[str, int]:
    """Counts [projections, NAMES] by name; floats are not said to saturate."""
    if graph.precision == "float":
        return {}
    return {f"{q.name}.{x}": int(n) for q, row in zip(graph.plastic, saturated) for x, n in zip(NAMES, row) if n}


def _each(graph: Graph) -> Iterable[tuple[Projection, Plasticity]]:
    return [(q, q.plasticity) for q in graph.plastic if q.plasticity is not None]


def _numbers(graph: Graph, dtype: Any) -> dict[str, np.ndarray]:
    """Fields of `Rules` that are numbers of the rules."""
    each = [rule for _, rule in _each(graph)]
    found = {name: np.array([getattr(rule, name) for rule in each], dtype) for name in NUMBERS}
    found["kept"] = np.array([(1 if rule.fixed is None else 4096) - rule.eta for rule in each], dtype)
    ones, most = (1, np.inf) if graph.precision == "float" else (0, 0)
    steps = {"pre_step": ones, "post_step": ones, "trace_max": most}
    found |= {name: np.array([getattr(rule.fixed, name, none) for rule in each], dtype) for name, none in steps.items()}
    shifts = ("third_shift", "change_shift", "eligibility_shift", "eligibility_max", "seed")
    found |= {name: np.array([getattr(rule.fixed, name, 0) for rule in each], np.int64) for name in shifts}
    found["stochastic"] = np.array([rule.fixed is not None and rule.fixed.rounding == "stochastic" for rule in each], np.int64)
    return found
