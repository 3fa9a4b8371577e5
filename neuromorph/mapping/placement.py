"""Cores of a partition placed on a mesh so that messages pass few routers.

Traffic times hops over all pairs is a quadratic assignment problem. Greedy, in order, is what allocators of chips do (nengo-loihi's
`Greedy`). Here cores are exchanged in pairs, the pair that gains most first, from there and from relaxed solutions; then from small
changes, each of the last that was no worse (iterated local search).
"""

from dataclasses import dataclass

import numpy as np

from neuromorph.mapping.exchange import Exchanges, Problem
from neuromorph.mapping.mesh import Mesh
from neuromorph.mapping.traffic import Traffic
from neuromorph.shapes import Int64

TOGETHER = 1024
"""Physical cores; above, chips are filled in order."""
FAQ_UP_TO = 256
"""Physical cores; above, relaxed solutions take minutes."""
STARTS = 2**16
"""Relaxed solutions, beyond one, times physical cores placed at a time, times all physical cores, at most."""
TRIES, MOST_TRIES = 2**23, 500
"""Small changes times the same, and how many at most."""
CHANGES = 3
"""Pairs of cores that a small change exchanges, at most."""


@dataclass(frozen=True, eq=False)
class Placement:
    """`slot`: the physical core of each core [cores]; `cost`: messages times hops, `greedy_cost`: that of cores in order."""

    mesh: Mesh
    slot: Int64[np.ndarray, " cores"]
    cost: float
    greedy_cost: float


def place(traffic: Traffic, mesh: Mesh, *, starts: int = 4, seed: int = 0) -> Placement:
    """Place cores on the mesh; the same seed gives the same placement. `starts`: relaxed solutions that are tried,
    fewer where there are more than 128 physical cores. Beyond 1024 physical cores chips are filled in order, and cores are placed chip by
    chip, those of the other chips staying where they are.
    """
    in_order, rng = np.arange(len(traffic.entering)), np.random.default_rng(seed)
    slot, at_once = in_order.copy(), mesh.n_cores if mesh.n_cores <= TOGETHER else mesh.cores_per_chip
    for first in range(0, len(slot), at_once):
        problem = _problem(traffic, mesh, slot, first, first + at_once)
        slot[first : first + at_once] = first + _placed(problem, starts, at_once * mesh.n_cores, rng)
    return Placement(mesh, slot, message_hops(traffic, mesh, slot), message_hops(traffic, mesh, in_order))


def message_hops(traffic: Traffic, mesh: Mesh, slot: Int64[np.ndarray, " cores"]) -> float:
    """Messages times hops of cores at these physical cores."""
    total = float(traffic.entering @ np.add(*mesh.hops(np.zeros_like(slot), slot)))
    for core, messages in enumerate(traffic.between):
        total += float(messages @ np.add(*mesh.hops(slot[core : core + 1], slot)))
    return total


def _problem(traffic: Traffic, mesh: Mesh, slot: np.ndarray, first: int, last: int) -> Problem:
    """Placing cores `first` to `last` on the physical cores of these numbers, while all others stay at their slots."""
    own, places = slice(first, min(last, len(slot))), np.arange(first, last)
    others = np.delete(np.arange(len(slot)), own)
    flow = (traffic.between[own, own] + traffic.between[own, own].T) / 2
    np.fill_diagonal(flow, 0)
    outside = traffic.between[own, others] + traffic.between[others, own].T
    pull = outside @ _hops(mesh, slot[others], places) + np.outer(traffic.entering[own], _hops(mesh, np.zeros(1, np.int64), places))
    return Problem(flow, _hops(mesh, places, places), pull / 2)


def _hops(mesh: Mesh, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hops from each of a to each of b [a, b]."""
    return np.add(*mesh.hops(a[:, None], b)).astype(np.float64)


def _placed(problem: Problem, starts: int, effort: int, rng: np.random.Generator) -> np.ndarray:
    """The best places found; the greater the `effort` that a start takes, the fewer."""
    n, m = problem.pull.shape
    in_order = Exchanges(problem, np.arange(m))
    if in_order.cost == 0:
        return in_order.order[:n]
    least = 1e-9 * in_order.cost
    tried = [in_order]
    if m <= FAQ_UP_TO:
        tried += [Exchanges(problem, problem.relaxed(rng)) for _ in range(min(starts, max(1, STARTS // effort)))]
    for each in tried:
        each.settle(least)
    best = min(tried, key=lambda each: each.cost)
    for _ in range(min(TRIES // effort, MOST_TRIES)):
        changed, pairs = best.copy(), rng.integers(1, CHANGES + 1)
        for a, b in zip(rng.integers(n, size=pairs), rng.integers(m, size=pairs)):
            if a != b:
                changed.exchange(int(a), int(b))
        changed.settle(least)
        if changed.cost <= best.cost:
            best = changed
    return best.order[:n]
