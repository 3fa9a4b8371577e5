"""A graph as the flat tables that the kernel reads.

Sources are the inputs followed by the places of neurons (see `layout`). What arrives at neurons comes through lines (see `wiring`).
"""

from typing import NamedTuple

import numpy as np

from neuromorph.backends.fast.layout import WORD, Layout, bits, first_sources
from neuromorph.backends.fast.wiring import Lines, wire
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF, Neurons
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
    """Of each run of words of one form, int64: its first word, its last word + 1, and the form (see `layout.Form`)."""

    first: np.ndarray
    last: np.ndarray
    spikes: np.ndarray
    adapts: np.ndarray
    subtract: np.ndarray
    by_threshold: np.ndarray
    current: np.ndarray


class Tables(NamedTuple):
    """All that the kernel knows of a graph.

    `sources`: first source of each population, inputs first; the last entry is the number of sources. `owner` [places]: number of
    the population. Words of flags: `reach` [longest refractory period, words rounded up]: the neurons that a spike d + 1 steps ago blocks;
    `members` [populations, words]: whose neurons they are; `always` [words]: those that are active at every step (see `counts.Counts`).
    """

    n_in: int
    sources: np.ndarray
    constants: Constants
    runs: Runs
    owner: np.ndarray
    reach: np.ndarray
    members: np.ndarray
    always: np.ndarray
    lines: Lines

    @property
    def dtype(self) -> np.dtype:
        """The type of states."""
        return self.constants.v_th.dtype


def tables(graph: Graph, layout: Layout) -> Tables:
    """The tables of a graph."""
    dtype = lane_type(graph)
    constants = Constants(*(_constant(graph, layout, name, dtype) for name in Constants._fields))
    forms = [(first, last, *vars(form).values()) for form, first, last in layout.runs]
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
        wire(graph, layout, dtype),
    )


def lane_type(graph: Graph) -> np.dtype:
    """float64; of integers int32 where no sum of the step can leave it, else int64."""
    if graph.precision == "float":
        return np.dtype(np.float64)
    most = max((int(_most(graph, p).max(initial=0)) << 6 for p in graph.neurons), default=0)
    bias = max((int(np.abs(p.bias).max(initial=0)) for p in graph.neurons), default=0)
    # a synaptic current turns around once a step: it stays within one turn if no more than that is added
    limit = 2**24 if any(p.decay_u.any() for p in graph.neurons) else 2**29
    return np.dtype(np.int32 if most <= limit and bias <= 2**29 else np.int64)


def _most(graph: Graph, p: Neurons) -> np.ndarray:
    """The largest sum that can arrive in a step [n]."""
    total = np.zeros(p.n, np.int64)
    for q in graph.incoming(p.name):
        total += np.bincount(q.indices, np.abs(q.weights), p.n).astype(np.int64) << max(q.weight_exp, 0)
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


def _members(graph: Graph, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Words of flags: which neurons a population has [populations, words], and which are active at every step [words]."""
    own, always = np.zeros((len(graph.neurons), layout.n), np.bool_), np.zeros(layout.n, np.bool_)
    for k, p in enumerate(graph.neurons):
        places = slice(layout.place[p.name], layout.place[p.name] + p.n)
        own[k, places] = True
        always[places] = (p.bias != 0) | (p.decay_u != 0)
    return bits(own), bits(always)
