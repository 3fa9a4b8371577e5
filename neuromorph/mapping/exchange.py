"""Orders of places (quadratic assignments) that are made better by exchanging pairs, and where to start."""

from copy import copy
from dataclasses import dataclass

import numpy as np

from neuromorph.shapes import Float64, Int64

ITERATIONS, TOLERANCE, FALL = 30, 0.03, 1e-3
"""Of relaxed solutions: how many at most, the change below which none follows (both as in scipy's `quadratic_assignment`), and the share
of the cost that the next must promise to take off.
"""


@dataclass(frozen=True, eq=False)
class Problem:
    """Cost of giving each of n things a place of its own, `order` [places] (the things first): the sum of `flow` [k, l] times `distance`
    [order[k], order[l]] over all k and l, both symmetric, nothing on the diagonals; and twice that of `pull` [k, order[k]].
    """

    flow: Float64[np.ndarray, "things things"]
    distance: Float64[np.ndarray, "places places"]
    pull: Float64[np.ndarray, "things places"]

    def relaxed(self, rng: np.random.Generator) -> Int64[np.ndarray, " places"]:
        """The order next to a solution that may share places out (FAQ: Vogelstein 2015, doi:10.1371/journal.pone.0121002), from a start
        halfway between even shares and a random order.
        """
        from scipy.optimize import linear_sum_assignment

        n, m = self.pull.shape
        share = np.full((n, m), 0.5 / m)
        share[np.arange(n), rng.permutation(m)[:n]] += 0.5
        slope = self.flow @ share @ self.distance
        for _ in range(ITERATIONS):
            best = linear_sum_assignment(slope + self.pull)[1]
            step = -share
            step[np.arange(n), best] += 1
            change = self.flow @ self.distance[best] - slope
            curve, fall = float((change * step).sum()), -float(((slope + self.pull) * step).sum())
            if fall <= FALL * float((share * (slope + 2 * self.pull)).sum()):
                break
            far = min(fall / curve, 1.0) if curve > 0 else 1.0
            share += far * step
            slope += far * change
            if far * np.linalg.norm(step) <= TOLERANCE * np.sqrt(n):
                break
        chosen = linear_sum_assignment(-share)[1]
        return np.append(chosen, np.setdiff1d(np.arange(m), chosen))


class Exchanges:
    """An order of all places, its `cost`, and the `gain` [a, b]: what exchanging thing a with thing or free place b takes off the cost.

    The gains are kept up to date, as tabu searches keep them (Taillard 1991, doi:10.1016/S0167-8191(05)80147-4), so that an exchange takes
    a few sums over all pairs.
    """

    order: Int64[np.ndarray, " places"]
    cost: float
    gain: Float64[np.ndarray, "things places"]

    def __init__(self, problem: Problem, order: Int64[np.ndarray, " places"]) -> None:
        self._problem, self.order, n = problem, order.copy(), len(problem.flow)
        apart = problem.distance[np.ix_(order[:n], order)]
        cross = np.zeros((len(order), len(order)))  # [a, b]: cost of a's flow were it where b is
        cross[:n] = problem.flow @ apart + problem.pull[:, order]
        self._own = np.diag(cross).copy()
        self.cost = float(self._own.sum() + problem.pull[np.arange(n), order[:n]].sum())
        self.gain = -2 * (cross + cross.T - self._own[:, None] - self._own)[:n]
        self.gain[:, :n] -= 4 * problem.flow * apart[:, :n]

    def copy(self) -> "Exchanges":
        """The same order, which can be changed on its own."""
        other = copy(self)
        other.order, other.gain, other._own = self.order.copy(), self.gain.copy(), self._own.copy()
        return other

    def exchange(self, a: int, b: int) -> None:
        """Let thing a and thing or free place b change places."""
        distance, n = self._problem.distance, len(self._problem.flow)
        self.cost -= float(self.gain[a, b])
        less = self._flow(a) - self._flow(b)
        farther = (distance[self.order[b]] - distance[self.order[a]])[self.order]
        self._own += less * farther
        change = np.subtract.outer(less[:n], less)
        change *= np.subtract.outer(farther[:n], farther)
        change *= 2
        self.gain += change
        self.order[[a, b]] = self.order[[b, a]]
        for k in (a, b):
            self._own[k] = self._flow(k) @ distance[self.order[k]][self.order] + self._pull(k)[self.order[k]]
        for k in (a, b):
            gain = self._gains_of(k)
            self.gain[:, k] = gain[:n]
            if k < n:
                self.gain[k] = gain

    def _flow(self, k: int) -> np.ndarray:
        flow, n = np.zeros(len(self.order)), len(self._problem.flow)
        if k < n:
            flow[:n] = self._problem.flow[k]
        return flow

    def _pull(self, k: int) -> np.ndarray:
        return self._problem.pull[k] if k < len(self._problem.flow) else np.zeros(len(self.order))

    def _gains_of(self, a: int) -> np.ndarray:
        """What exchanging a with each of the others takes off [places]. (einsum: BLAS would start threads, which cost more.)"""
        problem, n = self._problem, len(self._problem.flow)
        here, flow = problem.distance[self.order[a]][self.order], self._flow(a)
        cross = self._pull(a)[self.order]
        if a < n:
            cross += np.einsum("ij,i->j", problem.distance[self.order[:n]], flow[:n])[self.order]
        cross[:n] += np.einsum("ij,j->i", problem.flow, here[:n]) + problem.pull[:, self.order[a]]
        return -2 * (cross - self._own - self._own[a] + 2 * flow * here)

    def settle(self, least: float) -> None:
        """Exchange the pair that gains most, until none gains more than `least`."""
        while True:
            a, b = divmod(int(self.gain.argmax()), self.gain.shape[1])
            if self.gain[a, b] <= least:
                return
            self.exchange(a, b)
