"""Placements against the best of all orders, and against what must hold of any."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.mapping import Mesh, Traffic, place
from neuromorph.mapping.exchange import Exchanges, Problem


def random_traffic(seed: int, n: int) -> Traffic:
    rng = np.random.default_rng(seed)
    return Traffic(np.floor(rng.gamma(0.5, 20, (n, n))), np.floor(rng.gamma(0.5, 10, n)))


def cost(found: Traffic, hops: list[list[int]], slot: Sequence[int]) -> float:
    """Messages times hops, pair by pair."""
    n = range(len(slot))
    inside = sum(found.between[a, b] * hops[slot[a]][slot[b]] for a in n for b in n)
    return float(inside + sum(found.entering[b] * hops[0][slot[b]] for b in n))


def all_hops(mesh: Mesh) -> list[list[int]]:
    cores = np.arange(mesh.n_cores)
    return np.add(*mesh.hops(cores[:, None], cores)).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_best_of_all_orders(seed: int) -> None:
    """Six cores, one a tile, in a mesh of 3 x 2: all 720 placements."""
    mesh, found = Mesh(3, 2, 1), random_traffic(seed, 6)
    hops = all_hops(mesh)
    placed = place(found, mesh)
    best = min(cost(found, hops, order) for order in permutations(range(6)))
    assert placed.cost == cost(found, hops, placed.slot)
    assert placed.cost <= 1.001 * best
    assert placed.greedy_cost == cost(found, hops, range(6))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 20), st.booleans())
def test_of_any_placement(seed: int, n: int, together: bool) -> None:
    """Cores do not share a place, the cost is what pairs sum up to, greedy is not better, and the same seed gives the same; all cores at
    once, or chip by chip.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuromorph.mapping.placement.TOGETHER", 1024 if together else 0)
        patch.setattr("neuromorph.mapping.placement.MOST_TRIES", 20)
        hold(seed, n)


def hold(seed: int, n: int) -> None:
    mesh, found = Mesh(3, 2, 2, chips=2), random_traffic(seed, n)
    hops = all_hops(mesh)
    placed = place(found, mesh, starts=1, seed=seed)
    assert len(set(placed.slot.tolist())) == n
    assert placed.slot.min() >= 0
    assert placed.slot.max() < mesh.n_cores
    assert placed.cost == pytest.approx(cost(found, hops, placed.slot))
    assert placed.cost <= placed.greedy_cost
    assert np.array_equal(place(found, mesh, starts=1, seed=seed).slot, placed.slot)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(2, 9))
def test_gains_of_exchanges(seed: int, things: int, places: int) -> None:
    """After every exchange, what each further one takes off the cost is the difference of two sums over pairs."""
    rng, n = np.random.default_rng(seed), min(things, places)
    flow, distance = np.triu(rng.integers(0, 9, (n, n)), 1), np.triu(rng.integers(0, 9, (places, places)), 1)
    problem = Problem((flow + flow.T) / 2, (distance + distance.T) * 1.0, rng.integers(0, 9, (n, places)) / 2)

    def total(order: np.ndarray) -> float:
        pairs = sum(problem.flow[a, b] * problem.distance[order[a], order[b]] for a in range(n) for b in range(n))
        return float(pairs + 2 * sum(problem.pull[a, order[a]] for a in range(n)))

    each = Exchanges(problem, rng.permutation(places))
    for _ in range(4):
        assert each.cost == total(each.order)
        for a in range(n):
            for b in range(places):
                other = each.order.copy()
                other[[a, b]] = other[[b, a]]
                assert each.gain[a, b] == each.cost - total(other)
        a, b = rng.integers(n), rng.integers(places)
        if a != b:
            each.exchange(int(a), int(b))
    relaxed = problem.relaxed(rng)
    assert sorted(relaxed.tolist()) == list(range(places))
