"""Constants that differ from neuron to neuron, brought to as few settings as a core of the chip can hold.

Distances are those of log time constants, so that an error means the same for fast and slow neurons. Where one constant
varies the result is optimal (dynamic programming over sorted values, as Wang & Song 2011, R Journal 3(2):29, here with
integer centres); where tuples do, it is the best of ten k-means runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from neuromorph.errors import QuantizationError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import LIF, Input, Neurons, Population, replace
from neuromorph.hardware import HardwareProfile
from neuromorph.quantize import allowed, count_settings, setting_groups
from neuromorph.shapes import Float64, Int64

Levels: TypeAlias = Int64[np.ndarray, " values"]
Positions: TypeAlias = Float64[np.ndarray, " values"]


@dataclass(frozen=True)
class Constant:
    """Where an integer constant lies on the axis on which distances are taken, back again, and its least and highest."""

    position: Callable[[np.ndarray], np.ndarray]
    level: Callable[[np.ndarray], np.ndarray]
    least: int
    highest: int


def _decay(least: int, highest: int = 4095) -> Constant:
    """log of the time constant in steps; no memory at all (0), and no leak (4096), count as half a level."""
    return Constant(lambda d: -np.log(-np.log(np.clip(d, 0.5, 4095.5) / 4096)), lambda x: 4096 * np.exp(-np.exp(-x)), least, highest)


CONSTANTS = {
    "decay_v": _decay(1, 4096),
    "decay_u": _decay(0),
    "decay_a": _decay(1),
    "n_ref": Constant(np.log1p, np.expm1, 0, 2**31),  # the least interval between spikes, n_ref + 1
    "v_th": Constant(lambda v: np.log(np.maximum(v, 0.5)), np.exp, 0, 2**17 - 1),
}


@dataclass(frozen=True)
class Change:
    """Relative error over all neurons: of the time constant (decays), of n_ref + 1, of v_th."""

    mean: float
    largest: float


@dataclass(frozen=True)
class PopulationClusters:
    """Settings of compartments and thresholds before and after; `changes` by constant, for those that changed."""

    name: str
    settings: tuple[int, int]
    thresholds: tuple[int, int]
    changes: Mapping[str, Change]


@dataclass(frozen=True)
class ClusterReport:
    """What clustering changed. `settings_allowed`, `thresholds_allowed`: None where nothing limits them."""

    profile: str
    settings_allowed: int | None
    thresholds_allowed: int | None
    populations: tuple[PopulationClusters, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def cluster(
    graph: Graph, profile: HardwareProfile, rng: np.random.Generator, *, settings: int | None = None, thresholds: int | None = None
) -> tuple[Graph, ClusterReport]:
    """Bring the constants of each population of an integer graph to what one core holds: decays, refractory periods, thresholds.

    A core that holds several populations holds the settings of all: give `settings` and `thresholds` to share them out.
    Nothing else changes (weights, kappa, bias), and nothing at all where they are few enough. `rng`: starts of k-means.

    Raises:
        QuantizationError: the graph holds floats; fewer settings than one for each compartment of a neuron; k-means is
            needed and scikit-learn is missing.
    """
    if graph.precision != "integer":
        raise QuantizationError("Graph: it holds floats; quantise it first, then cluster its integers.")
    known = allowed(profile)
    settings, thresholds = known[0] if settings is None else settings, known[1] if thresholds is None else thresholds
    populations: list[Population] = []
    reports: list[PopulationClusters] = []
    for p in graph.populations:
        if isinstance(p, Input):
            populations.append(p)
            continue
        changed = _fewer(p, setting_groups(p, profile), settings, rng)
        if isinstance(p, LIF):
            changed |= _fewer(p, (("v_th",),), thresholds, rng)
        populations.append(replace(p, **changed) if changed else p)
        reports.append(_report(p, populations[-1], changed, profile))
    report = ClusterReport(profile.id, settings, thresholds, tuple(reports))
    if not any(r.changes for r in reports):
        return graph, report
    metadata = {**graph.metadata, "clustered_for": profile.id, "clustered_from": graph.digest()}
    return graph.replace(populations=tuple(populations), metadata=metadata), report


def _report(p: Neurons, q: Population, changed: Mapping[str, Levels], profile: HardwareProfile) -> PopulationClusters:
    assert not isinstance(q, Input)
    (settings, thresholds), (settings_after, thresholds_after) = count_settings(p, profile), count_settings(q, profile)
    changes: dict[str, Change] = {}
    for name, levels in changed.items():
        position = CONSTANTS[name].position
        error = np.abs(np.expm1(position(levels) - position(getattr(p, name))))
        if error.any():
            changes[name] = Change(float(error.mean()), float(error.max()))
    return PopulationClusters(p.name, (settings, settings_after), (thresholds, thresholds_after), changes)


def _fewer(p: Neurons, groups: tuple[tuple[str, ...], ...], most: int | None, rng: np.random.Generator) -> dict[str, Levels]:
    """Constants that changed, so that the groups together have at most so many different tuples: the division that errs least."""
    tuples = [np.stack([getattr(p, name) for name in names], 1) for names in groups]
    different = [len(np.unique(t, axis=0)) for t in tuples]
    if most is None or sum(different) <= most:
        return {}
    if most < len(groups):
        raise QuantizationError(f"Population {p.name!r}: {most} settings; each of its {len(groups)} kinds needs one, allow {len(groups)}.")
    room = most - len(groups) + 1
    shares = [s for s in product(*(range(1, min(d, room) + 1) for d in different)) if sum(s) == most]
    wanted = [sorted({share[g] for share in shares}) for g in range(len(groups))]
    found = [{k: reduce_tuples(t, names, k, rng) for k in ks} for t, names, ks in zip(tuples, groups, wanted)]
    best = min(shares, key=lambda share: sum(found[g][k][1] for g, k in enumerate(share)))
    columns = [(name, found[g][best[g]][0][:, c]) for g, names in enumerate(groups) for c, name in enumerate(names)]
    return {name: column for name, column in columns if (column != getattr(p, name)).any()}


def reduce_tuples(
    tuples: Int64[np.ndarray, "n constants"], names: tuple[str, ...], k: int, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, "n constants"], float]:
    """At most `k` different rows near the given ones, and the sum of squared distances in the positions of `CONSTANTS`."""
    distinct, inverse, counts = np.unique(tuples, axis=0, return_inverse=True, return_counts=True)
    if len(distinct) <= k:
        return tuples, 0.0
    varying = np.flatnonzero((distinct != distinct[0]).any(0))
    if len(varying) == 1:
        column = int(varying[0])
        near = distinct.copy()
        near[:, column] = nearest_levels(distinct[:, column], counts, k, CONSTANTS[names[column]])
    else:
        near = _k_means(distinct, counts, names, k, rng)
    distance = ((_positions(near, names) - _positions(distinct, names)) ** 2).sum(1)
    return near[inverse.reshape(-1)], float(counts @ distance)


def nearest_levels(values: Levels, counts: Levels, k: int, constant: Constant) -> Levels:
    """For each of the ascending `values` (each `counts` times) one of `k` integers: the sum of squared distances is least.

    total[c, j] = min over i < j of total[c - 1, i] + cost of values i..j-1 in one cluster; O(k n^2).
    """
    n, centre = len(values), float(constant.position(values).mean())
    x = constant.position(values) - centre
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(np.stack([counts, counts * x, counts * x**2]), 1)], 1)
    total = np.full((k + 1, n + 1), np.inf)
    total[0, 0] = 0
    cut = np.zeros((k + 1, n + 1), np.int64)
    for j in range(1, n + 1):
        candidates = total[:-1, :j] + _cost(sums[:, j : j + 1] - sums[:, :j], centre, constant)[0]
        cut[1:, j] = candidates.argmin(1)
        total[1:, j] = candidates.min(1)
    levels, j = np.empty(n, np.int64), n
    for c in range(k, 0, -1):
        i = int(cut[c, j])
        levels[i:j] = _cost(sums[:, j : j + 1] - sums[:, i : i + 1], centre, constant)[1]
        j = i
    return levels


def _cost(sums: Float64[np.ndarray, "3 clusters"], centre: float, constant: Constant) -> tuple[Positions, Levels]:
    """Of clusters with these sums of 1, x, x^2: the least sum of squared distances from an integer, and that integer."""
    weight, first, second = sums
    exact = constant.level(first / weight + centre)
    both = np.clip(np.stack([np.floor(exact), np.ceil(exact)]), constant.least, constant.highest).astype(np.int64)
    x = constant.position(both) - centre
    costs = np.maximum(second - 2 * x * first + weight * x**2, 0)
    lower = costs.argmin(0)
    return costs.min(0), np.where(lower == 0, both[0], both[1])


def _positions(tuples: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([CONSTANTS[name].position(tuples[:, c]) for c, name in enumerate(names)], 1)


def _k_means(distinct: np.ndarray, counts: np.ndarray, names: tuple[str, ...], k: int, rng: np.random.Generator) -> np.ndarray:
    """Each row of `distinct` replaced by the nearest rounded centre of k-means (Arthur & Vassilvitskii 2007, scikit-learn)."""
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise QuantizationError("Clustering tuples needs scikit-learn: pip install 'neuromorph[train]'.") from error
    points = _positions(distinct, names)
    seed = int(rng.integers(2**31))
    model = KMeans(k, n_init=10, random_state=seed)  # pyright: ignore[reportArgumentType]
    model.fit(points, sample_weight=counts)
    constants = [CONSTANTS[name] for name in names]
    exact = [np.rint(c.level(model.cluster_centers_[:, i])) for i, c in enumerate(constants)]
    centres = np.stack([np.clip(e, c.least, c.highest) for e, c in zip(exact, constants)], 1).astype(np.int64)
    distance = ((points[:, None] - _positions(centres, names)[None]) ** 2).sum(2)
    return centres[distance.argmin(1)]
