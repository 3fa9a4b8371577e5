"""A graph as the flat tables that the kernel reads.

Sources are the inputs followed by the places of neurons (see `layout`). What arrives at neurons comes through lines (see `wiring`).
"""

from typing import NamedTuple

import numpy as np

from neuromorph.backends.fast.bounds import plastic_sums, rule_fits
from neuromorph.backends.fast.layout import WORD, Layout, bits, first_sources
from neuromorph.backends.fast.wiring import Lines, wire
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LIF, Neurons
from neuromorph.simd.buffers import zeros


class Constants(NamedTuple):
    """Per-step constants by place, as in `graph.populations`; `v_th` of integers << 6; 0 where a population has none."""

    decay_v: np.ndarray
    decay_u: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    v_th: np.ndarray
    v_reset: np.ndarray
    decay_a: np.ndarray
    kappa: np.ndarray


class Runs(NamedTuple):
    """Of each run of words of one form, int64: its first word, its last word + 1, and the form (see `layout.Form`); whether u can get so
    large that it `turns` around, and a that it is clipped (`swells`).
    """

    first: np.ndarray
    last: np.ndarray
    spikes: np.ndarray
    adapts: np.ndarray
    subtract: np.ndarray
    by_threshold: np.ndarray
    current: np.ndarray
    turns: np.ndarray
    swells: np.ndarray


class Tables(NamedTuple):
    """All that the kernel knows of a graph.

    `sources`: first source of each population, inputs first; the last entry is the number of sources. `owner` [places]: number of
    the population. `marks`: see `wiring.wire`. Words of flags, their number rounded up: `reach` [longest refractory period, words]: the
    neurons that a spike d + 1 steps ago blocks; `members` [populations, words]: whose neurons they are, within words
    `first_member` .. `last_member` - 1; `always` [words]: those that are active at every step (see `counts.Counts`).
    """

    n_in: int
    sources: np.ndarray
    constants: Constants
    runs: Runs
    owner: np.ndarray
    reach: np.ndarray
    members: np.ndarray
    always: np.ndarray
    first_member: np.ndarray
    last_member: np.ndarray
    lines: Lines
    marks: np.ndarray

    @property
    def dtype(self) -> np.dtype:
        """The type of states."""
        return self.constants.v_th.dtype


def tables(graph: Graph, layout: Layout) -> Tables:
    """The tables of a graph."""
    dtype = lane_type(graph)
    constants = Constants(*(_constant(graph, layout, name, dtype) for name in Constants._fields))
    bounds = _bounds(graph, layout)
    forms = [(first, last, *vars(form).values(), *bounds[first]) for form, first, last in layout.runs]
    owner = np.zeros(layout.n, np.int64)
    for number, p in enumerate(graph.neurons):
        owner[layout.place[p.name] :][: p.n] = number
    return Tables(
        sum(p.n for p in graph.inputs),
        first_sources(graph, layout),
        constants,
        Runs(*np.array(forms, np.int64).T.copy()),
        owner,
        _reach(graph, layout),
        *_members(graph, layout),
        *wire(graph, layout, dtype),
    )


def lane_type(graph: Graph) -> np.dtype:
    """float64; of integers int32 where no sum of the step can leave it, else int64."""
    if graph.precision == "float":
        return np.dtype(np.float64)
    most = max((int(_most(graph, p).max(initial=0)) << 6 for p in graph.neurons), default=0)
    bias = max((int(np.abs(p.bias).max(initial=0)) for p in graph.neurons), default=0)
    # a synaptic current turns around once a step: it stays within one turn if no more than that is added
    limit = 2**24 if any(p.decay_u.any() for p in graph.neurons) else 2**29
    narrow = most <= limit and bias <= 2**29 and all(rule_fits(q, graph.population(q.target).n) for q in graph.plastic)
    return np.dtype(np.int32 if narrow else np.int64)


def _most(graph: Graph, p: Neurons) -> np.ndarray:
    """The largest sum that can arrive in a step [n]."""
    total = np.zeros(p.n, np.int64)
    for q in graph.incoming(p.name):
        total += np.bincount(q.indices, np.abs(q.weights), p.n).astype(np.int64) << max(q.weight_exp, 0)
        if q.plasticity is not None and q.plasticity.fixed is not None:
            sums, exponent = plastic_sums(q, p.n), q.plasticity.fixed.alpha_exp
            total += sums << exponent if exponent >= 0 else (sums >> -exponent) + 1
    return total


def _constant(graph: Graph, layout: Layout, name: str, dtype: np.dtype) -> np.ndarray:
    values = zeros((layout.n,), dtype)
    for p in graph.neurons:
        if name in p.PARAMETERS:
            values[layout.place[p.name] :][: p.n] = getattr(p, name)
    if name == "v_th" and dtype != np.float64:
        values <<= 6
    return values


def _reach(graph: Graph, layout: Layout) -> np.ndarray:
    n_ref = np.zeros(layout.n, np.int64)
    for p in graph.neurons:
        if isinstance(p, LIF):
            n_ref[layout.place[p.name] :][: p.n] = p.n_ref
    blocks = np.arange(n_ref.max(initial=0))[:, None] < n_ref
    reach = zeros((len(blocks), -(-layout.n // WORD**2) * WORD), np.uint16)
    reach[:, : layout.n // WORD] = bits(blocks)
    return reach


def _members(graph: Graph, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`members`, `always`, `first_member` and `last_member` of `Tables`."""
    places = -(-layout.n // WORD**2) * WORD**2
    own, always = np.zeros((len(graph.neurons), places), np.bool_), np.zeros(places, np.bool_)
    for k, p in enumerate(graph.neurons):
        own[k, layout.place[p.name] :][: p.n] = True
        always[layout.place[p.name] :][: p.n] = (p.bias != 0) | (p.decay_u != 0)
    firsts = np.array([layout.place[p.name] // WORD**2 * WORD for p in graph.neurons], np.int64)
    lasts = np.array([-(-(layout.place[p.name] + p.n) // WORD) for p in graph.neurons], np.int64)
    return bits(own), bits(always), firsts, lasts


def _bounds(graph: Graph, layout: Layout) -> dict[int, tuple[bool, bool]]:
    """By the first word of a run: whether some u of it can turn around, and some a can be clipped."""
    bounds: dict[int, tuple[bool, bool]] = {}
    for _, first, last in layout.runs:
        members = [p for p in graph.neurons if first * WORD <= layout.place[p.name] < last * WORD]
        bounds[first] = any(_turns(graph, p) for p in members), any(_swells(p) for p in members)
    return bounds


def _turns(graph: Graph, p: Neurons) -> bool:
    whole = graph.precision == "integer"
    return whole and (bool(p.decay_u.any()) or int(_most(graph, p).max(initial=0)) << 6 >= 2**23)


def _swells(p: Neurons) -> bool:
    """a stays within kappa / (1 - decay_a), where decay makes up for a spike in every step."""
    if not isinstance(p, ALIF) or p.kappa.dtype != np.int64:
        return False
    return bool((np.abs(p.kappa) * 4096 > (2**23 - 1) * (4096 - p.decay_a)).any())
