"""Placements against the best of all orders, and against what must hold of any."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.mapping import Mesh, Traffic, place


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


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 20))
def test_of_any_placement(seed: int, n: int) -> None:
    """Cores do not share a place, the cost is what pairs sum up to, greedy is not better, and the same seed gives the same."""
    mesh, found = Mesh(3, 2, 2, chips=2), random_traffic(seed, n)
    hops = all_hops(mesh)
    placed = place(found, mesh, starts=1, seed=seed)
    assert len(set(placed.slot.tolist())) == n
    assert placed.slot.min() >= 0
    assert placed.slot.max() < mesh.n_cores
    assert placed.cost == pytest.approx(cost(found, hops, placed.slot))
    assert placed.cost <= placed.greedy_cost
    assert np.array_equal(place(found, mesh, starts=1, seed=seed).slot, placed.slot)
