"""Lines: the synapses of a graph, put together where their weights may be added up before anything else happens to the sum.

In float graphs that is one projection onto each population, because the reference adds projections one after the other; in
integer graphs all projections but those with a negative exponent, whose sums are rounded each on its own. Populations that spike
and are neighbours share lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neuromorph.backends.fast.layout import Group, Layout, bits, first_sources
from neuromorph.graph.graph import Graph
from neuromorph.graph.projections import Projection
from neuromorph.simd.buffers import zeros

ROWS_UP_TO = 2**20
"""Bytes of dense rows of weights that are worth it."""
ROWS_FROM = 1 / 24
"""Share of the synapses from which a row of weights is faster than a list of them."""


FIELDS = ("target", "width", "slots", "down", "from_", "until")


class Lines(NamedTuple):
    """Of each line, int64 [lines]; `columns`: of spikes on their way, in all.

    Targets are the places `target` .. `target + width` - 1. `slots`: largest delay; `ring`: its first column among spikes on their
    way; `from_`, `until`: the populations its sources are of (number `until` is none of them). Synapses of source j (counted from
    the first such) with delay d are ptr[p] .. ptr[p + 1] - 1, p = `ptrs` + j * slots + d - 1; `place` = d * width + target. A line
    with `row` >= 0 has rows of weights [sources, width] from there on, and is delivered by these; its `reached` tell which synapses exist,
    one bit each, in words from row / WORD on. `shift` from `shifts` on, by
    target: see `arithmetic.raised` or, for those that are `down`, `lowered`.
    """

    columns: int
    target: np.ndarray
    width: np.ndarray
    slots: np.ndarray
    down: np.ndarray
    from_: np.ndarray
    until: np.ndarray
    ring: np.ndarray
    shifts: np.ndarray
    ptrs: np.ndarray
    row: np.ndarray
    ptr: np.ndarray
    place: np.ndarray
    weight: np.ndarray
    rows: np.ndarray
    reached: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, eq=False)
class Line:
    """A line before it is laid out: `source` (from the first of population `from_`), `index` (from `target`), `delay` and `weight` of
    its synapses; `shift` [width].
    """

    target: int
    width: int
    slots: int
    down: bool
    from_: int
    until: int
    n_sources: int
    source: np.ndarray
    index: np.ndarray
    delay: np.ndarray
    weight: np.ndarray
    shift: np.ndarray

    @property
    def by_rows(self) -> bool:
        size = self.n_sources * self.width
        return self.slots == 1 and size * 4 <= ROWS_UP_TO and len(self.weight) >= ROWS_FROM * size

    @property
    def largest(self) -> int:
        """The largest sum of absolute weights onto a target."""
        return int(np.bincount(self.index, np.abs(self.weight)).max(initial=0))

    def rows(self, dtype: Any) -> np.ndarray:
        """Weights [sources, width], flat."""
        rows = np.zeros((self.n_sources, self.width), dtype)
        np.add.at(rows, (self.source, self.index), self.weight.astype(dtype))
        return rows.reshape(-1)

    def lists(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`ptr`, `place` and `weight` of `Lines`, counted from 0."""
        bucket = self.source * self.slots + self.delay - 1
        order = np.argsort(bucket, kind="stable")
        ptr = np.concatenate([[0], np.cumsum(np.bincount(bucket, minlength=self.n_sources * self.slots))])
        return ptr, (self.delay * self.width + self.index)[order], self.weight[order]


def wire(graph: Graph, layout: Layout, dtype: Any) -> Lines:
    """The lines of a graph, in the order in which their sums are added up."""
    lines = [line for group in layout.groups for line in _lines(graph, layout, group)]
    listed, rowed = ([line for line in lines if line.by_rows is by_rows] for by_rows in (False, True))
    narrow = dtype == np.int32 and all(line.largest < 2**15 for line in rowed)
    rows = {id(line): line.rows(np.int16 if narrow else dtype) for line in rowed}
    lists = {id(line): line.lists() for line in listed}
    first_row, first_ptr, first_synapse = (_starts(each) for each in (rows, *({k: v[i] for k, v in lists.items()} for i in (0, 1))))
    per_line = {name: np.array([getattr(line, name) for line in lines], np.int64) for name in FIELDS}
    return Lines(
        columns=sum(line.slots * line.width for line in lines),
        **per_line,
        ring=_sums([line.slots * line.width for line in lines]),
        shifts=_sums([line.width for line in lines]),
        ptrs=np.array([first_ptr.get(id(line), 0) for line in lines], np.int64),
        row=np.array([first_row.get(id(line), -1) for line in lines], np.int64),
        ptr=_joined([ptr + first_synapse[k] for k, (ptr, _, _) in lists.items()], np.int64),
        place=_joined([place for _, place, _ in lists.values()], np.int32),
        weight=_joined([weight for _, _, weight in lists.values()], dtype),
        rows=_joined(list(rows.values()), np.int16 if narrow else dtype),
        reached=_joined([bits(line.rows(np.bool_)) for line in rowed], np.uint16),
        shift=_joined([line.shift for line in lines], dtype),
    )


def _sums(sizes: list[int]) -> np.ndarray:
    return np.cumsum([0, *sizes])[: len(sizes)].astype(np.int64)


def _starts(arrays: dict[int, np.ndarray]) -> dict[int, int]:
    return dict(zip(arrays, _sums([len(each) for each in arrays.values()]).tolist()))


def _joined(arrays: list[np.ndarray], dtype: Any) -> np.ndarray:
    """One after the other, at a multiple of 64 bytes."""
    joined = zeros((sum(map(len, arrays)),), dtype)
    return np.concatenate(arrays, out=joined, casting="unsafe") if arrays else joined


def _lines(graph: Graph, layout: Layout, group: Group) -> Iterator[Line]:
    """The lines onto a group of populations."""
    waiting = [list(graph.incoming(p.name)) for p in group.populations]
    if graph.precision == "integer":
        yield from _line(graph, layout, group, [[q for q in each if q.weight_exp >= 0] for each in waiting])
        waiting = [[q for q in each if q.weight_exp < 0] for each in waiting]
    while any(waiting):
        yield from _line(graph, layout, group, [each[:1] for each in waiting])
        waiting = [each[1:] for each in waiting]


def _line(graph: Graph, layout: Layout, group: Group, projections: list[list[Projection]]) -> Iterator[Line]:
    """The line of the projections onto each population of the group; none where there are none."""
    every = [q for each in projections for q in each]
    if not every:
        return
    order = [p.name for p in (*graph.inputs, *graph.neurons)]
    firsts = first_sources(graph, layout)
    numbers = [order.index(q.source) for q in every]
    from_, until = min(numbers), max(numbers) + 1
    parts, shift = [], np.zeros(group.width, np.int64)
    for p, each in zip(group.populations, projections):
        at = layout.place[p.name] - group.first
        least = min((q.weight_exp for q in each), default=0)
        shift[at : at + p.n] = least
        for q in each:
            source = q.rows + (firsts[order.index(q.source)] - firsts[from_])
            weight = q.weights << (q.weight_exp - least) if graph.precision == "integer" else q.weights
            parts.append((source, q.indices + at, q.delays, weight))
    source, index, delay, weight = (np.concatenate(each) for each in zip(*parts))
    source, index, delay, weight = (each[weight != 0] for each in (source, index, delay, weight))
    n_sources, slots = int(firsts[until] - firsts[from_]), int(delay.max(initial=1))
    yield Line(group.first, group.width, slots, bool(shift.min() < 0), from_, until, n_sources, source, index, delay, weight, shift)
