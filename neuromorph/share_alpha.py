"""Few alphas in place of one a synapse: chips give all learned weights of a projection one exponent, and none a gain of its own.

Every plastic projection is split by its rounded alpha, 0 or one of +-unit * 2^k: into plastic ones that each have one alpha for all their
synapses, and a fixed one of those with alpha 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from neuromorph.errors import QuantizationError
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import Plasticity
from neuromorph.graph.projections import Projection

UNITS = 2.0 ** -np.arange(0, 10, 0.125)
"""Tried units of alpha, as shares of the largest |alpha|."""


@dataclass(frozen=True)
class SharedAlpha:
    """`alphas`: those that are left beside 0; `error`: |rounded - given| over |given|, Euclidean norms; `fixed`: synapses of alpha 0."""

    name: str
    alphas: tuple[float, ...]
    error: float
    fixed: int


def share_alpha(graph: Graph, levels: int = 3) -> tuple[Graph, tuple[SharedAlpha, ...]]:
    """The graph with at most `levels` sizes of alpha a projection, a factor of two apart, and what it cost. The unit is that of the least
    squared error. Parts of "q" are named "q.alpha0", "q.alpha1" ... by rising alpha, that of alpha 0 keeps the name; a projection of one
    alpha stays as it is.

    Raises:
        QuantizationError: the graph is of integers, or `levels` below 1.
    """
    if levels < 1:
        raise QuantizationError(f"levels is {levels}; give the number of sizes that alpha may have, 1 or more.")
    if graph.precision != "float":
        raise QuantizationError("Alphas are shared in graphs of floats; this one is of integers. Share them before you quantise.")
    reports, projections = list[SharedAlpha](), list[Projection]()
    for q in graph.projections:
        rule = q.plasticity
        if rule is None or not len(rule.alpha) or (rule.alpha == rule.alpha[0]).all():
            projections.append(q)
            continue
        alpha = _rounded(rule.alpha, levels)
        projections += _parts(q, rule, alpha)
        left = tuple(float(a) for a in np.unique(alpha) if a)
        error = float(np.linalg.norm(alpha - rule.alpha) / np.linalg.norm(rule.alpha))
        reports.append(SharedAlpha(q.name, left, error, int((alpha == 0).sum())))
    return replace(graph, projections=tuple(projections)), tuple(reports)


def _rounded(alpha: np.ndarray, levels: int) -> np.ndarray:
    """Each to the nearest of 0 and +-unit * 2^k."""
    size = np.abs(alpha)

    def near(unit: float) -> np.ndarray:
        sizes = np.concatenate([[0.0], unit * 2.0 ** np.arange(levels)])
        return sizes[np.abs(size[:, None] - sizes).argmin(1)]

    best = min((near(size.max() * share) for share in UNITS), key=lambda found: float(np.square(found - size).sum()))
    return np.copysign(best, alpha)


def _parts(q: Projection, rule: Plasticity, alpha: np.ndarray) -> Iterator[Projection]:
    for k, value in enumerate(np.unique(np.abs(alpha) * np.sign(alpha))):
        chosen = alpha == value
        part = _chosen(q, chosen)
        if value:
            own = replace(rule, alpha=np.full(int(chosen.sum()), value))
            yield replace(part, name=f"{q.name}.alpha{k}", plasticity=own)
        else:
            yield part


def _chosen(q: Projection, chosen: np.ndarray) -> Projection:
    """Some of the synapses, not plastic."""
    indptr = np.concatenate([[0], np.cumsum(np.bincount(q.rows[chosen], minlength=q.n_source))]).astype(np.int64)
    signs = None if q.signs is None else q.signs[chosen]
    ends = {"indptr": indptr, "indices": q.indices[chosen], "weights": q.weights[chosen], "delays": q.delays[chosen]}
    return replace(q, **ends, signs=signs, plasticity=None)
