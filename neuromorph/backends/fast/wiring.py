"""Lines: the synapses of a graph, put together where their weights may be added up before anything else happens to the sum.

In float graphs that is one projection onto each population, because the reference adds projections one after the other; in
integer graphs all projections but those with a negative exponent, whose sums are rounded each on its own. Populations that spike
and are neighbours share lines. A plastic projection has a line of its own, which `learning` delivers; in integer graphs it holds
the plastic part alone, and the fixed part goes with all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from neuromorph.backends.fast.layout import WORD, Group, Layout, first_sources
from neuromorph.graph.graph import Graph
from neuromorph.graph.projections import Projection
from neuromorph.simd.buffers import zeros
from neuromorph.simd.lanes import LANES

ROWS_UP_TO = 2**20
"""Bytes of dense rows of weights that are worth it."""
ROWS_FROM = 1 / 24
"""Share of the synapses from which a row of weights is faster than a list of them."""
FLAGS_UP_TO = 2**26
"""Bytes of rows of flags that are worth it."""

FIELDS = ("target", "width", "slots", "down", "opens", "first", "flags", "plastic")


class Lines(NamedTuple):
    """Of each line, int64 [lines]; `columns`: of spikes on their way, in all; `words`: of flags for them.

    Targets are the places `target` .. `target + width` - 1. `slots`: largest delay; `ring`: its first column among spikes on their
    way. It `opens` its targets if it is the first that adds to them. Its sources begin with `first`; those that spike are between the
    marks number `from_` and `until`. Synapses of source j (counted from the first) with delay d are ptr[p] .. ptr[p + 1] - 1,
    p = `ptrs` + j * slots + d - 1; `place` = d * width + target. A line with `row` >= 0 has rows of weights [sources, width] from there on,
    and is delivered by these. `shift` from `shifts` on, by target: see `arithmetic.raised` or, for those that are `down`, `lowered`.
    Where events arrive is told by bits: `flags` words for every slot, from word `touch` on; `flag` [synapses] is the bit counted from the
    first of delay 0; where `reach` >= 0, rows of words `reached` [sources, slots, flags] from there on tell the same by source and delay.
    `plastic`: number of the plastic projection whose line it is, or -1.
    """

    columns: int
    words: int
    target: np.ndarray
    width: np.ndarray
    slots: np.ndarray
    down: np.ndarray
    opens: np.ndarray
    first: np.ndarray
    from_: np.ndarray
    until: np.ndarray
    flags: np.ndarray
    plastic: np.ndarray
    ring: np.ndarray
    touch: np.ndarray
    shifts: np.ndarray
    ptrs: np.ndarray
    row: np.ndarray
    reach: np.ndarray
    ptr: np.ndarray
    place: np.ndarray
    flag: np.ndarray
    weight: np.ndarray
    rows: np.ndarray
    reached: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, eq=False)
class Line:
    """A line before it is laid out, with sources first .. last - 1: `source` (from `first`), `index` (from `target`), `delay` and `weight`
    of its synapses; `shift` [width]; `plastic`: see `Lines`. Weights of a plastic line only tell which synapses there are.
    """

    target: int
    width: int
    slots: int
    down: bool
    opens: bool
    first: int
    last: int
    source: np.ndarray
    index: np.ndarray
    delay: np.ndarray
    weight: np.ndarray
    shift: np.ndarray
    plastic: int

    @property
    def n_sources(self) -> int:
        return self.last - self.first

    @property
    def flags(self) -> int:
        """Words of flags for the targets, rounded up to what the kernel takes at once."""
        return -(-self.width // WORD**2) * WORD

    @property
    def by_rows(self) -> bool:
        size = self.n_sources * self.width
        dense = len(self.weight) >= ROWS_FROM * size or self.width == LANES
        return self.plastic < 0 and self.slots == 1 and size * 4 <= ROWS_UP_TO and dense

    @property
    def largest(self) -> int:
        """The largest sum of absolute weights onto a target."""
        return int(np.bincount(self.index, np.abs(self.weight)).max(initial=0))

    def rows(self, dtype: Any) -> np.ndarray:
        """Weights [sources, width], flat."""
        rows = np.zeros((self.n_sources, self.width), dtype)
        np.add.at(rows, (self.source, self.index), self.weight.astype(dtype))
        return rows.reshape(-1)

    @property
    def by_flags(self) -> bool:
        """Whether rows of flags, 16 words at once, are faster than one flag for each synapse."""
        rows = self.n_sources * self.slots
        return self.plastic >= 0 or (rows * self.flags * 2 <= FLAGS_UP_TO and len(self.weight) >= rows * self.flags // WORD)

    def reached(self) -> np.ndarray:
        """Words of flags [sources, slots, flags], flat."""
        words = np.zeros((self.n_sources, self.slots, self.flags), np.uint16)
        np.bitwise_or.at(words, (self.source, self.delay - 1, self.index // WORD), (1 << self.index % WORD).astype(np.uint16))
        return words.reshape(-1)

    def lists(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`ptr`, `place`, `flag` and `weight` of `Lines`, counted from 0; of a plastic line none."""
        bucket = (self.source * self.slots + self.delay - 1)[: 0 if self.plastic >= 0 else None]
        order = np.argsort(bucket, kind="stable")
        ptr = np.concatenate([[0], np.cumsum(np.bincount(bucket, minlength=self.n_sources * self.slots))])
        place, flag = (self.delay * width + self.index for width in (self.width, self.flags * WORD))
        return ptr, place[order], flag[order], self.weight[order]


def wire(graph: Graph, layout: Layout, dtype: Any) -> tuple[Lines, np.ndarray]:
    """The lines of a graph, in the order in which their sums are added up, and the marks: sources at which those of lines begin or end."""
    lines = [line for group in layout.groups for line in _lines(graph, layout, group)]
    listed, rowed = ([line for line in lines if line.by_rows is by_rows] for by_rows in (False, True))
    narrow = dtype == np.int32 and all(line.largest < 2**15 for line in rowed)
    rows = {id(line): line.rows(np.int16 if narrow else dtype) for line in rowed}
    reached = {id(line): line.reached() for line in lines if line.by_rows or line.by_flags}
    lists = {id(line): line.lists() for line in listed}
    first_row, first_reach, first_ptr, first_synapse = (
        _starts(each) for each in (rows, reached, *({k: v[i] for k, v in lists.items()} for i in (0, 1)))
    )
    marks = np.unique([source for line in lines for source in (line.first, line.last)]).astype(np.int64)
    numbers = {
        "from_": np.searchsorted(marks, [line.first for line in lines]),
        "until": np.searchsorted(marks, [line.last for line in lines]),
        "touch": _sums([line.slots * line.flags for line in lines]),
        "ring": _sums([line.slots * line.width for line in lines]),
        "shifts": _sums([line.width for line in lines]),
        "ptrs": [first_ptr.get(id(line), 0) for line in lines],
        "row": [first_row.get(id(line), -1) for line in lines],
        "reach": [first_reach.get(id(line), -1) for line in lines],
    }
    numbers |= {name: [getattr(line, name) for line in lines] for name in FIELDS}
    return Lines(
        columns=sum(line.slots * line.width for line in lines),
        words=sum(line.slots * line.flags for line in lines),
        **{name: np.array(values, np.int64) for name, values in numbers.items()},
        ptr=_joined([ptr + first_synapse[k] for k, (ptr, _, _, _) in lists.items()], np.int64),
        place=_joined([place for _, place, _, _ in lists.values()], np.int32),
        flag=_joined([flag for _, _, flag, _ in lists.values()], np.int32),
        weight=_joined([weight for _, _, _, weight in lists.values()], dtype),
        rows=_joined(list(rows.values()), np.int16 if narrow else dtype),
        reached=_joined(list(reached.values()), np.uint16),
        shift=_joined([line.shift for line in lines], dtype),
    ), marks


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
    for number, (projections, plastic) in enumerate(_together(graph, group)):
        yield _line(graph, layout, group, projections, opens=number == 0, plastic=plastic)


Together: TypeAlias = list[list[Projection]]
"""The projections of a line, by population of the group."""


def _together(graph: Graph, group: Group) -> Iterator[tuple[Together, int]]:
    """What shares a line, in order, and the number of the plastic projection or -1."""
    waiting = [list(graph.incoming(p.name)) for p in group.populations]
    whole = graph.precision == "integer"
    if whole:
        first = [[q for q in each if q.weight_exp >= 0] for each in waiting]
        if any(first):
            yield first, -1
        for q in (q for each in waiting for q in each if q.plasticity is not None):
            yield _alone(graph, group, q)
        waiting = [[q for q in each if q.weight_exp < 0] for each in waiting]
    while any(waiting):
        heads, waiting = [each[:1] for each in waiting], [each[1:] for each in waiting]
        plastic = [q for head in heads for q in head if q.plasticity is not None and not whole]
        fixed = [[q for q in head if q not in plastic] for head in heads]
        if any(fixed):
            yield fixed, -1
        for q in plastic:
            yield _alone(graph, group, q)


def _alone(graph: Graph, group: Group, q: Projection) -> tuple[Together, int]:
    return [[q] if q.target == p.name else [] for p in group.populations], graph.plastic.index(q)


def _line(graph: Graph, layout: Layout, group: Group, projections: Together, *, opens: bool, plastic: int) -> Line:
    """The line of the projections onto each population of the group."""
    order = [p.name for p in (*graph.inputs, *graph.neurons)]
    firsts = first_sources(graph, layout)
    numbers = [order.index(q.source) for each in projections for q in each]
    first, last = int(firsts[min(numbers)]), int(firsts[max(numbers) + 1])
    parts, shift = [], np.zeros(group.width, np.int64)
    for p, each in zip(group.populations, projections):
        at = layout.place[p.name] - group.first
        carried = [_carried(q, plastic=plastic >= 0) for q in each]
        least = min((exponent for exponent, _ in carried), default=0)
        shift[at : at + p.n] = least
        for q, (exponent, weights) in zip(each, carried):
            source = q.rows + (firsts[order.index(q.source)] - first)
            weight = weights << (exponent - least) if graph.precision == "integer" else weights
            parts.append((source, q.indices + at, q.delays, weight))
    source, index, delay, weight = (np.concatenate(each) for each in zip(*parts))
    source, index, delay, weight = (each[weight != 0] for each in (source, index, delay, weight))
    slots, down = int(delay.max(initial=1)), bool(shift.min() < 0)
    return Line(group.first, group.width, slots, down, opens, first, last, source, index, delay, weight, shift, plastic)


def _carried(q: Projection, *, plastic: bool) -> tuple[int, np.ndarray]:
    """Exponent and weights of a projection, or of its plastic part."""
    if not plastic or q.plasticity is None:
        return q.weight_exp, q.weights
    fixed = q.plasticity.fixed
    return (0, q.used.astype(np.float64)) if fixed is None else (fixed.alpha_exp, q.plasticity.alpha)
