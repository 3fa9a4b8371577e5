"""The weights of a projection as the kernel is given them: a matrix, or live edges alone."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from neuromorph.simd.lanes import compiled


@dataclass(frozen=True, eq=False)
class Matrix:
    """Weights and delays [n_target, n_source]; a weight of exactly zero is no synapse."""

    weights: np.ndarray
    delays: np.ndarray

    @property
    def n_source(self) -> int:
        return self.weights.shape[1]

    @property
    def live(self) -> int:
        return int(np.count_nonzero(self.weights))

    def count(self, slots: int, every: bool, ends: np.ndarray) -> None:
        _count_entries(self.weights, self.delays, slots, every, ends)

    def fill(self, slots: int, width: int, every: bool, *arrays: np.ndarray) -> None:
        _fill_entries(self.weights, self.delays, slots, width, every, *arrays)

    def gradient(self, entries: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Of every weight, from `values` of those at `entries`; 0 elsewhere."""
        dense = np.zeros_like(self.weights)
        dense.reshape(-1)[entries] = values
        return dense


@dataclass(frozen=True, eq=False)
class Edges:
    """Live synapses, all arrays [k]: from `source` to `target` with `weights` and `delays`; nothing of size n_source n_target exists."""

    n_source: int
    source: np.ndarray
    target: np.ndarray
    weights: np.ndarray
    delays: np.ndarray

    @property
    def live(self) -> int:
        return len(self.weights)

    def count(self, slots: int, every: bool, ends: np.ndarray) -> None:
        _count_edges(self.source, self.delays, slots, ends)

    def fill(self, slots: int, width: int, every: bool, *arrays: np.ndarray) -> None:
        _fill_edges(self.source, self.target, self.weights, self.delays, slots, width, *arrays)

    def gradient(self, entries: np.ndarray, values: np.ndarray) -> np.ndarray:
        found = np.zeros_like(self.weights)
        found[entries] = values
        return found


Projection: TypeAlias = Matrix | Edges


def by_source(
    parts: list[Projection], slots: int, width: int, dtype: Any, *, every: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`ptr`, `place` and `weight` of `synapses.Synapses`, the sources of the parts one after the other, and each edge's index in its part.

    `every`: also entries of a matrix that are zero.
    """
    firsts = np.cumsum([0, *(part.n_source for part in parts)]) * slots
    ends = np.zeros(firsts[-1] + 1, np.int64)
    for part, first in zip(parts, firsts):
        part.count(slots, every, ends[first:])
    ptr = np.cumsum(ends)
    place, weight, entry = np.empty(ptr[-1], np.int32), np.empty(ptr[-1], dtype), np.empty(ptr[-1], np.int64)
    free = ptr[:-1].copy()
    for part, first in zip(parts, firsts):
        part.fill(slots, width, every, free[first:], place, weight, entry)
    return ptr, place, weight, entry


@compiled
def _count_entries(weights, delays, slots, every, ends):
    """Add the synapses to ends [source * slots + delay]."""
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            if every or weights[i, j] != 0:
                ends[j * slots + delays[i, j]] += 1


@compiled
def _fill_entries(weights, delays, slots, width, every, free, place, weight, entry):
    """Write the synapses by source and delay; `free` [source * slots + delay - 1]: where the next one goes."""
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            if every or weights[i, j] != 0:
                bucket = j * slots + delays[i, j] - 1
                e = free[bucket]
                free[bucket] = e + 1
                place[e] = delays[i, j] * width + i
                weight[e] = weights[i, j]
                entry[e] = i * weights.shape[1] + j


@compiled
def _count_edges(source, delays, slots, ends):
    for k in range(len(source)):
        ends[source[k] * slots + delays[k]] += 1


@compiled
def _fill_edges(source, target, weights, delays, slots, width, free, place, weight, entry):
    for k in range(len(source)):
        bucket = source[k] * slots + delays[k] - 1
        e = free[bucket]
        free[bucket] = e + 1
        place[e] = delays[k] * width + target[k]
        weight[e] = weights[k]
        entry[e] = k
