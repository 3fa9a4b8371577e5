"""Cores of a partition placed on a mesh so that messages pass few routers.

Traffic times hops over all pairs is a quadratic assignment problem. Greedy, in order, is what allocators of chips do (nengo-loihi's
`Greedy`). Here cores are exchanged in pairs, the pair that gains most first, from there and from relaxed solutions (scipy's FAQ: Vogelstein
2015, doi:10.1371/journal.pone.0121002), from random orders and from small changes of the best (iterated local search).
"""

from dataclasses import dataclass, replace

import numpy as np

from neuromorph.mapping.mesh import Mesh
from neuromorph.mapping.traffic import Traffic
from neuromorph.shapes import Int64

TOGETHER = 1024
"""Physical cores; above, chips are filled in order."""
FAQ_UP_TO = 256
"""Physical cores; above, relaxed solutions take minutes."""
STARTS = 2**8
"""Relaxed solutions times physical cores, at most."""
TRIES, MOST_TRIES = 2**20, 200
"""Further starts times the square of physical cores, and how many at most: small changes of the best."""
ANEW_UP_TO = 32
"""Physical cores up to which every other start is a random order."""


@dataclass(frozen=True, eq=False)
class Placement:
    """`slot`: the physical core of each core [cores]; `cost`: messages times hops, `greedy_cost`: that of cores in order."""

    mesh: Mesh
    slot: Int64[np.ndarray, " cores"]
    cost: float
    greedy_cost: float


def place(traffic: Traffic, mesh: Mesh, *, starts: int = 4, seed: int = 0) -> Placement:
    """Place cores on the mesh; the same seed gives the same placement. `starts`: relaxed solutions that are tried,
    fewer where there are more than 64 physical cores. Beyond 1024 physical cores chips are filled in order, and only the cores of each
    chip are placed.
    """
    n, rng = len(traffic.entering), np.random.default_rng(seed)
    slot = _together(traffic, mesh, starts, rng) if mesh.n_cores <= TOGETHER else _chip_by_chip(traffic, mesh, starts, rng)
    return Placement(mesh, slot, message_hops(traffic, mesh, slot), message_hops(traffic, mesh, np.arange(n)))


def message_hops(traffic: Traffic, mesh: Mesh, slot: Int64[np.ndarray, " cores"]) -> float:
    """Messages times hops of cores at these physical cores."""
    total = float(traffic.entering @ np.add(*mesh.hops(np.zeros_like(slot), slot)))
    for core, messages in enumerate(traffic.between):
        total += float(messages @ np.add(*mesh.hops(slot[core : core + 1], slot)))
    return total


def _chip_by_chip(traffic: Traffic, mesh: Mesh, starts: int, rng: np.random.Generator) -> np.ndarray:
    slot, one = np.arange(len(traffic.entering)), replace(mesh, chips=1)
    for first in range(0, len(slot), mesh.cores_per_chip):
        own = slice(first, first + mesh.cores_per_chip)
        entering = traffic.entering[own] if first == 0 else np.zeros_like(traffic.entering[own])
        slot[own] = first + _together(Traffic(traffic.between[own, own], entering), one, starts, rng)
    return slot


def _together(traffic: Traffic, mesh: Mesh, starts: int, rng: np.random.Generator) -> np.ndarray:
    """The best placement found of all cores at once."""
    n, problem, greedy = len(traffic.entering), Problem.of(traffic, mesh), np.arange(mesh.n_cores)
    if problem.cost(greedy) == 0:
        return greedy[:n]
    tried = [problem.improved(greedy)]
    if mesh.n_cores <= FAQ_UP_TO:
        tried += [problem.improved(start) for start in problem.relaxed(min(starts, STARTS // mesh.n_cores), rng)]
    best = min(tried, key=problem.cost)
    for number in range(min(TRIES // mesh.n_cores**2, MOST_TRIES)):
        anew = number % 2 == 0 and mesh.n_cores <= ANEW_UP_TO
        start = rng.permutation(mesh.n_cores) if anew else _changed(best, n, rng)
        best = min(best, problem.improved(start), key=problem.cost)
    return best[:n]


def _changed(order: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """The same order but for two to four cores that take each other's places, one of which is in use."""
    moved = np.unique(np.append(rng.integers(n), rng.integers(len(order), size=3)))
    changed = order.copy()
    changed[moved] = changed[np.roll(moved, 1)]
    return changed


@dataclass(frozen=True, eq=False)
class Problem:
    """Cost of an order of all physical cores, the first of which hold those in use: sum of `flow` times `distance`, plus `entering` times
    `depth`, the distance from where spikes come in.
    """

    flow: np.ndarray
    distance: np.ndarray
    entering: np.ndarray
    depth: np.ndarray

    @classmethod
    def of(cls, traffic: Traffic, mesh: Mesh) -> "Problem":
        n, slots = len(traffic.entering), np.arange(mesh.n_cores)
        flow, entering = np.zeros((mesh.n_cores, mesh.n_cores)), np.zeros(mesh.n_cores)
        flow[:n, :n] = (traffic.between + traffic.between.T) / 2
        np.fill_diagonal(flow, 0)
        entering[:n] = traffic.entering
        distance = np.add(*mesh.hops(slots[:, None], slots[None, :])).astype(np.float64)
        return cls(flow, distance, entering, distance[0])

    def cost(self, order: np.ndarray) -> float:
        return float((self.flow * self.distance[np.ix_(order, order)]).sum() + self.entering @ self.depth[order])

    def improved(self, order: np.ndarray) -> np.ndarray:
        """Exchange two cores, the pair that gains most first, until no exchange gains anything."""
        order = order.copy()
        cross = self.flow @ self.distance[np.ix_(order, order)]  # [a, b]: cost of a's traffic were it where b is
        least = 1e-9 * max(self.cost(order), 1.0)
        while True:
            gain = self._gains(cross, order)
            a, b = np.unravel_index(np.argmax(gain), gain.shape)
            if gain[a, b] <= least:
                return order
            change = np.outer(self.flow[:, a] - self.flow[:, b], self.distance[order[b], order] - self.distance[order[a], order])
            order[[a, b]] = order[[b, a]]
            cross += change
            cross[:, [a, b]] = self.flow @ self.distance[np.ix_(order, order[[a, b]])]

    def _gains(self, cross: np.ndarray, order: np.ndarray) -> np.ndarray:
        """What exchanging each pair would take off the cost [cores, cores]."""
        own, depth = np.diag(cross), self.depth[order]
        change = 2 * (cross + cross.T - own[:, None] - own[None, :] + 2 * self.flow * self.distance[np.ix_(order, order)])
        return (self.entering[:, None] - self.entering[None, :]) * (depth[:, None] - depth[None, :]) - change

    def relaxed(self, starts: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Solutions of the relaxed problem from random starts, with the entry as one more node that stays where it is."""
        from scipy.optimize import quadratic_assignment

        n = len(self.flow)
        flow, distance = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1))
        flow[:n, :n], distance[:n, :n] = self.flow, self.distance
        flow[n, :n] = flow[:n, n] = self.entering / 2
        distance[n, :n] = distance[:n, n] = self.depth
        options = {"partial_match": np.array([[n, n]]), "P0": "randomized", "rng": rng}
        return [quadratic_assignment(flow, distance, options=options).col_ind[:n] for _ in range(starts)]
