"""From floats to a chip's numbers: 8-bit weights with an exponent, 12-bit decays, 17-bit thresholds, and what it cost.

Each population gets one scale s: integer units of v for one unit of the float graph's v. A weight (its target's gain
folded in) becomes `weight << weight_exp << 6` close to `s * gain * weight`; thresholds, `kappa` and `bias` follow s.
A network is invariant to s but for rounding, so s is searched for the least rounding of weights and thresholds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from neuromorph.errors import QuantizationError
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import Rounding
from neuromorph.graph.populations import ALIF, LI, LIF, Input, Neurons, Population
from neuromorph.graph.projections import Projection
from neuromorph.graph.validate import WEIGHT_RANGES
from neuromorph.grid import Grid
from neuromorph.hardware import HardwareProfile
from neuromorph.quantize_plastic import PREFIX, PlasticReport, quantize_plasticity, third_scales
from neuromorph.rules import form_rules

STATE_MAX = 2**23 - 1
THRESHOLD_MANTISSA = 2**13  # mantissas stay below it: 16 thresholds fit into v
INTEGRATED = 1024  # steps of full input for which a readout that does not leak has room
CANDIDATES = 32  # scales tried between one power of two and the next
SYNAPSES = 2**15  # looked at in one go: few enough to stay in a processor's cache


@dataclass(frozen=True)
class ProjectionReport:
    """`scale`: stored weight for one unit of float weight times gain. `lost`: synapses that rounded to zero and are
    gone; `clipped`: weights beyond the range; `relative_error`: |quantised - float| over |float|, Euclidean norms.
    """

    name: str
    sign_mode: str
    scale: float
    weight_exp: int
    synapses: int
    lost: int
    clipped: int
    relative_error: float


@dataclass(frozen=True)
class PopulationReport:
    """`scale`: integer v per float v. `settings`, `thresholds`: how many different ones a core that holds all its neurons
    must hold. `errors`: largest relative ones; decays in terms of the time constant.
    """

    name: str
    scale: float
    settings: int
    thresholds: int
    errors: Mapping[str, float]


@dataclass(frozen=True)
class QuantizationReport:
    """What quantising changed, by population and projection. `settings_allowed`, `thresholds_allowed`: see `allowed`."""

    profile: str
    populations: tuple[PopulationReport, ...] = ()
    projections: tuple[ProjectionReport, ...] = ()
    settings_allowed: int | None = None
    thresholds_allowed: int | None = None
    notes: tuple[str, ...] = field(default=())
    plastic: tuple[PlasticReport, ...] = ()

    @property
    def lost(self) -> int:
        return sum(p.lost for p in self.projections)

    @property
    def clipped(self) -> int:
        return sum(p.clipped for p in self.projections)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lost": self.lost, "clipped": self.clipped}


def quantize(
    graph: Graph, profile: HardwareProfile, grid: Grid | None = None, *, rounding: Rounding = "stochastic", seed: int = 0
) -> tuple[Graph, QuantizationReport]:
    """The integer graph of a float graph for a chip, and the report of rounding. An integer graph comes back as it is.

    `grid`: scales and exponents that are given, by default those that the graph carries for this chip. `rounding`, `seed`: of plastic
    synapses, at every step.

    Raises:
        QuantizationError: the chip lacks a neuron form or a range that the graph needs; the message tells the remedy.
    """
    refuse(graph, profile)
    if graph.precision == "integer":
        return graph, QuantizationReport(profile.id, notes=("the graph holds integers already; nothing was changed",))
    grid = Grid.carried_by(graph, profile.id) if grid is None else grid
    grid.check(graph, profile.limit_range("weight_exp"))
    populations: list[Population] = []
    projections: dict[str, Projection] = {}
    population_reports: list[PopulationReport] = []
    projection_reports: list[ProjectionReport] = []
    scales, gains = dict[str, float](), {p.name: p.gain for p in graph.neurons}
    for p in graph.populations:
        if isinstance(p, Input):
            populations.append(p)
            continue
        scale = grid.scales[p.name] if p.name in grid.scales else choose_scale(graph, p, profile)
        quantised = quantize_population(p, scale, profile)
        populations.append(quantised)
        population_reports.append(_report(p, quantised, scale, profile))
        scales[p.name] = scale
        for q in graph.incoming(p.name):
            projections[q.name], report = quantize_projection(q, p.gain, scale, profile, grid.exponents.get(q.name))
            projection_reports.append(report)
    third, plastic = third_scales(graph, scales), list[PlasticReport]()
    for q in graph.plastic:
        name = q.plasticity.third_factor if q.plasticity else ""
        rule, report = quantize_plasticity(q, gains[q.target], scales[q.target], third.get(name, (1.0, 0)), rounding, seed)
        projections[q.name] = replace(projections[q.name], plasticity=rule)
        plastic.append(report)
    told = {f"scale.{name}": repr(scale) for name, scale in scales.items()} | {PREFIX + name: repr(s) for name, (s, _) in third.items()}
    metadata = {**graph.metadata, **told, "profile": profile.id, "quantized_from": graph.digest()}
    ordered = tuple(projections[q.name] for q in graph.projections)
    integer = Graph(graph.dt, tuple(populations), ordered, metadata)
    reports = tuple(population_reports), tuple(projection_reports), *allowed(profile)
    return integer, QuantizationReport(profile.id, *reports, plastic=tuple(plastic))


def refuse(graph: Graph, profile: HardwareProfile) -> None:
    """Raise QuantizationError for the first thing of the graph that the chip cannot be told."""
    for complaint in unsupported(graph, profile):
        raise QuantizationError(complaint)


def unsupported(graph: Graph, profile: HardwareProfile) -> list[str]:
    """Why the chip cannot run this graph, one sentence each with its remedy; empty when it can."""
    return [str(rule) for rule in form_rules(graph, profile) if rule.status == "broken"]


def choose_scale(graph: Graph, p: Neurons, profile: HardwareProfile) -> float:
    """Of the scales within one power of two of the largest allowed, that whose rounding of weights and thresholds is least.

    The errors are added up in blocks; where sums in another order could make the difference, `_rounding` decides.
    """
    largest = largest_scale(graph, p, profile)
    if isinstance(p, LI):
        return largest
    incoming = _weighted(graph, p)
    candidates = largest * 2 ** (-np.arange(CANDIDATES) / CANDIDATES)
    error = sum((_weight_errors(q, p.gain, candidates, profile) for q in incoming), _threshold_errors(p, candidates))
    close = candidates[error <= error.min() * (1 + 1e-9) + 1e-15]
    return float(min(close, key=lambda s: _rounding(p, incoming, float(s), profile)) if len(close) > 1 else close[0])


def _rounding(p: LIF, incoming: list[Projection], scale: float, profile: HardwareProfile) -> float:
    """What `choose_scale` makes least: squares of the relative errors of weights, by projection, and of the worst threshold."""
    error = sum(quantize_projection(q, p.gain, scale, profile)[1].relative_error ** 2 for q in incoming)
    return error + float(_threshold_errors(p, np.array([scale]))[0])


def _threshold_errors(p: LIF, scales: np.ndarray) -> np.ndarray:
    return np.array([float(((np.rint(scale * p.v_th / 64) * 64 / scale / p.v_th - 1) ** 2).max()) for scale in scales])


def _weight_errors(q: Projection, gain: np.ndarray, scales: np.ndarray, profile: HardwareProfile) -> np.ndarray:
    """Squares of the relative errors of the weights at each scale, in one pass; no weight is clipped (see `largest_scale`)."""
    heaviest, step = _heaviest(q, gain), _step(q)
    factors = [scale / 64 / 2.0 ** _exponent(q, heaviest * (scale / 64), profile) / step for scale in scales]
    errors, norms = np.zeros(len(scales)), np.zeros(len(scales))
    for _, driven in _driven(q, gain):
        exact, error = np.empty_like(driven), np.empty_like(driven)
        for k, factor in enumerate(factors):
            np.multiply(driven, factor, out=exact)
            np.rint(exact, out=error)
            error -= exact
            errors[k] += np.einsum("i,i", error, error)  # BLAS would start threads, which cost more
            norms[k] += np.einsum("i,i", exact, exact)
    return errors / np.where(norms > 0, norms, 1)


def largest_scale(graph: Graph, p: Neurons, profile: HardwareProfile) -> float:
    """The largest scale that is allowed.

    Every weight fits with the chip's highest exponent; neurons have room for 16 times their highest threshold in v (its
    mantissa is below 2^13); readouts cannot clip even if every source fires at every step (in the first
    1,024 steps where they do not leak), and need no positive exponent.
    """
    incoming = _weighted(graph, p)
    heaviest = max((_heaviest(q, p.gain) for q in incoming), default=0.0)
    if isinstance(p, LI):
        return _readout_scale(p, incoming, heaviest, profile)
    fits = 64 * 254 * 2.0 ** profile.limit_range("weight_exp")[1] / heaviest if heaviest else np.inf
    return min(64 * THRESHOLD_MANTISSA / float(p.v_th.max()), fits)


def _weighted(graph: Graph, p: Neurons) -> list[Projection]:
    return [q for q in graph.incoming(p.name) if q.weights.any()]


def _readout_scale(p: LI, incoming: list[Projection], heaviest: float, profile: HardwareProfile) -> float:
    weights = np.zeros(p.n)
    for q in incoming:
        own = np.zeros(p.n)
        for chosen, driven in _driven(q, p.gain):
            np.add.at(own, q.indices[chosen], np.abs(driven))
        weights += own
    leak = np.maximum(1 - p.decay_v, 1 / INTEGRATED)
    reach = float(((weights / (1 - p.decay_u) + np.abs(p.bias)) / leak).max())
    bias = float(np.abs(p.bias).max())
    limits = ((0.98 * STATE_MAX, reach), (64 * 254, heaviest), (_bias_limit(profile), bias))
    return min((limit / value for limit, value in limits if value), default=64.0)


def quantize_population(p: Neurons, scale: float, profile: HardwareProfile) -> Neurons:
    """Constants in fixed point: decays in 1/4096, thresholds as mantissa, kappa and bias in units of v."""
    decay_v, decay_u = np.where(p.decay_v == 1, 4096, _decay(p.decay_v, 1)), _decay(p.decay_u, 0)
    bias = _bias(p.name, p.bias * scale, profile)
    if isinstance(p, LI):
        return LI.of(p.name, p.n, decay_v=decay_v, decay_u=decay_u, bias=bias, precision="integer")
    v_th = np.maximum(np.rint(scale * p.v_th / 64), 1)
    if isinstance(p, ALIF):
        return ALIF.of(
            p.name,
            p.n,
            decay_v=decay_v,
            decay_u=decay_u,
            bias=bias,
            v_th=v_th,
            n_ref=p.n_ref,
            reset=p.reset,
            decay_a=_decay(p.decay_a, 1),
            kappa=_kappa(p, scale),
            adaptation=p.adaptation,
            precision="integer",
        )
    return LIF.of(p.name, p.n, decay_v=decay_v, decay_u=decay_u, bias=bias, v_th=v_th, n_ref=p.n_ref, reset=p.reset, precision="integer")


def _decay(decay: np.ndarray, least: int) -> np.ndarray:
    return np.where(decay == 0, least, np.clip(np.rint(decay * 4096), least, 4095)).astype(np.int64)


def _kappa(p: ALIF, scale: float) -> np.ndarray:
    kappa = np.rint(scale * p.kappa)
    if (kappa < 0).any() or (kappa > STATE_MAX).any():
        raise QuantizationError(
            f"Population {p.name!r}: kappa reaches {p.kappa.min():g}..{p.kappa.max():g}, beyond 0 to 24 bits at scale {scale:g}; "
            "adaptation must be positive and of the order of the threshold."
        )
    return kappa


def _bias(name: str, bias: np.ndarray, profile: HardwareProfile) -> np.ndarray:
    """Mantissa times power of two: the exponent is a population's own."""
    mantissa_max = 2 ** profile.limit("bias_mantissa_bits") - 1
    largest = float(np.abs(bias).max(initial=0))
    exponent = max(0, int(np.ceil(np.log2(max(largest * (1 - 1e-9) / mantissa_max, 1)))))
    if exponent > profile.limit("bias_exp_max"):
        raise QuantizationError(
            f"Population {name!r}: bias reaches {largest:g} in integer units of v; {profile.id} allows {_bias_limit(profile)}. "
            "Use a smaller bias."
        )
    return np.rint(bias / 2**exponent) * 2**exponent


def _bias_limit(profile: HardwareProfile) -> int:
    return (2 ** profile.limit("bias_mantissa_bits") - 1) << profile.limit("bias_exp_max")


def quantize_projection(
    q: Projection, gain: np.ndarray, scale: float, profile: HardwareProfile, exponent: int | None = None
) -> tuple[Projection, ProjectionReport]:
    """8-bit weights; fixed synapses that round to zero are dropped. `exponent`: by default the one that just holds the largest."""
    wanted, largest = np.empty(q.n_synapses), 0.0
    for chosen, driven in _driven(q, gain):
        np.multiply(driven, scale / 64, out=wanted[chosen])
        largest = max(largest, float(np.abs(wanted[chosen]).max()))
    norm = float(np.linalg.norm(wanted))
    exponent = _exponent(q, largest, profile) if exponent is None else exponent
    integer, clipped = np.empty(q.n_synapses, np.int64), 0
    for chosen in _blocks(q):
        rounded = np.rint(wanted[chosen] / 2.0**exponent / _step(q)) * _step(q)
        integer[chosen] = np.clip(rounded, *WEIGHT_RANGES[q.sign_mode])
        clipped += int(np.count_nonzero(rounded != integer[chosen]))
        wanted[chosen] = integer[chosen] * 2.0**exponent - wanted[chosen]
    lost = np.flatnonzero(integer == 0) if q.plasticity is None else np.zeros(0, np.int64)
    report = ProjectionReport(
        name=q.name,
        sign_mode=q.sign_mode,
        scale=scale / 64 / 2.0**exponent,
        weight_exp=exponent,
        synapses=q.n_synapses - len(lost),
        lost=len(lost),
        clipped=clipped,
        relative_error=float(np.linalg.norm(wanted)) / (norm or 1.0),
    )
    del wanted  # as large as the weights
    indptr = q.indptr - np.searchsorted(lost, q.indptr)
    signs = None if q.signs is None else _without(q.signs, lost)
    kept = (_without(array, lost) for array in (q.indices, integer, q.delays))
    return Projection(q.name, q.source, q.target, indptr, *kept, weight_exp=exponent, signs=signs), report


def _without(array: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """The array itself where nothing is lost."""
    return np.delete(array, lost) if len(lost) else array


def _blocks(q: Projection) -> Iterator[slice]:
    """Some synapses at a time, which bounds the memory that is needed."""
    return (slice(first, min(first + SYNAPSES, q.n_synapses)) for first in range(0, q.n_synapses, SYNAPSES))


def _driven(q: Projection, gain: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Weights times the gain of their targets, block by block."""
    return ((chosen, q.weights[chosen] * gain[q.indices[chosen]]) for chosen in _blocks(q))


def _heaviest(q: Projection, gain: np.ndarray) -> float:
    return max((float(np.abs(driven).max()) for _, driven in _driven(q, gain)), default=0.0)


def _step(q: Projection) -> int:
    """From one weight that can be stored to the next: the sign of mixed ones takes a bit."""
    return 2 if q.sign_mode == "mixed" else 1


def _exponent(q: Projection, largest: float, profile: HardwareProfile) -> int:
    """The exponent that just holds the largest weight, of those of the chip."""
    first, last = profile.limit_range("weight_exp")
    low, high = WEIGHT_RANGES[q.sign_mode]
    limit = min(high, -low) if q.sign_mode == "mixed" else max(high, -low)
    return int(np.clip(np.ceil(np.log2(largest / limit)), first, last)) if largest else 0


def allowed(profile: HardwareProfile) -> tuple[int | None, int | None]:
    """How many settings of compartments, and how many thresholds, a core can hold; None where the profile does not say.

    One less than the limits of the profile: nengo-loihi, whose limits these are, asserts at most as many in one place
    (`validate.py`, marked to be checked) and strictly fewer in another (`builder.py`); fewer is right by both.
    """
    limits = (profile.limits.get(f"{kind}_profiles_per_core") for kind in ("compartment", "vth"))
    settings, thresholds = (limit - 1 if isinstance(limit, int) else None for limit in limits)
    return settings, thresholds


def setting_groups(p: Neurons, profile: HardwareProfile) -> tuple[tuple[str, ...], ...]:
    """Names of constants, by compartment: each different tuple of one compartment's constants is a setting of its own."""
    main = ("decay_u", "decay_v", "n_ref") if isinstance(p, LIF) else ("decay_u", "decay_v")
    if not isinstance(p, ALIF):
        return (main,)
    return (main, ("decay_a",)) if profile.compartments.get("ALIF", 1) > 1 else ((*main, "decay_a"),)


def count_settings(p: Neurons, profile: HardwareProfile) -> tuple[int, int]:
    """Different settings of compartments, and different thresholds (a readout's, out of reach, is one)."""
    tuples = (np.stack([getattr(p, name) for name in names], 1) for names in setting_groups(p, profile))
    return sum(len(np.unique(t, axis=0)) for t in tuples), len(np.unique(p.v_th)) if isinstance(p, LIF) else 1


def _report(p: Neurons, q: Neurons, scale: float, profile: HardwareProfile) -> PopulationReport:
    settings, thresholds = count_settings(q, profile)
    return PopulationReport(p.name, scale, settings, thresholds, _population_errors(p, q, scale))


def _population_errors(p: Neurons, q: Neurons, scale: float) -> dict[str, float]:
    """Largest relative errors; a decay's as that of its time constant, ln(decay) being proportional to 1/tau."""
    errors: dict[str, float] = {}
    for name in ("decay_v", "decay_u", "decay_a"):
        if hasattr(p, name) and (exact := np.asarray(getattr(p, name))).any():
            used = exact > 0
            errors[name] = float(np.abs(np.log(exact[used]) / np.log(getattr(q, name)[used] / 4096) - 1).max())
    for name, unit in (("v_th", 64), ("kappa", 1), ("bias", 1)):
        if hasattr(p, name) and (exact := np.asarray(getattr(p, name))).any():
            used = exact != 0
            errors[name] = float(np.abs(getattr(q, name)[used] * unit / scale / exact[used] - 1).max())
    return errors
