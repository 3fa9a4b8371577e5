"""From floats to a chip's numbers: 8-bit weights with an exponent, 12-bit decays, 17-bit thresholds, and what it cost.

Each population gets one scale s: integer units of v for one unit of the float graph's v. A weight (its target's gain
folded in) becomes `weight << weight_exp << 6` close to `s * gain * weight`; thresholds, `kappa` and `bias` follow s.
A network is invariant to s but for rounding, so s is searched for the least rounding of weights and thresholds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from neuromorph.errors import QuantizationError
from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import ALIF, LI, LIF, Input, Neurons, Population
from neuromorph.graph.projections import Projection
from neuromorph.graph.validate import WEIGHT_RANGES
from neuromorph.grid import Grid
from neuromorph.hardware import HardwareProfile
from neuromorph.rules import form_rules

STATE_MAX = 2**23 - 1
THRESHOLD_MANTISSA = 2**13  # mantissas stay below it: 16 thresholds fit into v
CANDIDATES = 32  # scales tried between one power of two and the next


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

    @property
    def lost(self) -> int:
        return sum(p.lost for p in self.projections)

    @property
    def clipped(self) -> int:
        return sum(p.clipped for p in self.projections)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lost": self.lost, "clipped": self.clipped}


def quantize(graph: Graph, profile: HardwareProfile, grid: Grid | None = None) -> tuple[Graph, QuantizationReport]:
    """The integer graph of a float graph for a chip, and the report of rounding. An integer graph comes back as it is.

    `grid`: scales and exponents that are given, by default those that the graph carries for this chip.

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
    scales: dict[str, str] = {}
    for p in graph.populations:
        if isinstance(p, Input):
            populations.append(p)
            continue
        scale = grid.scales[p.name] if p.name in grid.scales else choose_scale(graph, p, profile)
        quantised = quantize_population(p, scale, profile)
        populations.append(quantised)
        population_reports.append(_report(p, quantised, scale, profile))
        scales[f"scale.{p.name}"] = repr(scale)
        for q in graph.incoming(p.name):
            projections[q.name], report = quantize_projection(q, p.gain, scale, profile, grid.exponents.get(q.name))
            projection_reports.append(report)
    metadata = {**graph.metadata, **scales, "profile": profile.id, "quantized_from": graph.digest()}
    ordered = tuple(projections[q.name] for q in graph.projections)
    integer = Graph(graph.dt, tuple(populations), ordered, metadata)
    return integer, QuantizationReport(profile.id, tuple(population_reports), tuple(projection_reports), *allowed(profile))


def refuse(graph: Graph, profile: HardwareProfile) -> None:
    """Raise QuantizationError for the first thing of the graph that the chip cannot be told."""
    for complaint in unsupported(graph, profile):
        raise QuantizationError(complaint)


def unsupported(graph: Graph, profile: HardwareProfile) -> list[str]:
    """Why the chip cannot run this graph, one sentence each with its remedy; empty when it can."""
    return [str(rule) for rule in form_rules(graph, profile) if rule.status == "broken"]


def choose_scale(graph: Graph, p: Neurons, profile: HardwareProfile) -> float:
    """Of the scales within one power of two of the largest allowed, that whose rounding of weights and thresholds is least."""
    largest = largest_scale(graph, p, profile)
    if isinstance(p, LI):
        return largest
    incoming = _weighted(graph, p)
    candidates = largest * 2 ** (-np.arange(CANDIDATES) / CANDIDATES)
    return float(min(candidates, key=lambda s: _rounding(p, incoming, float(s), profile)))


def largest_scale(graph: Graph, p: Neurons, profile: HardwareProfile) -> float:
    """The largest scale that is allowed.

    Every weight fits with the chip's highest exponent; neurons have room for 16 times their highest threshold in v (its
    mantissa is below 2^13); readouts cannot clip even if every source fires at every step, and need no positive exponent.
    """
    incoming = _weighted(graph, p)
    heaviest = max((float(np.abs(q.weights * p.gain[q.indices]).max()) for q in incoming), default=0.0)
    if isinstance(p, LI):
        return _readout_scale(p, incoming, heaviest, profile)
    fits = 64 * 254 * 2.0 ** profile.limit_range("weight_exp")[1] / heaviest if heaviest else np.inf
    return min(64 * THRESHOLD_MANTISSA / float(p.v_th.max()), fits)


def _weighted(graph: Graph, p: Neurons) -> list[Projection]:
    return [q for q in graph.incoming(p.name) if q.weights.any()]


def _readout_scale(p: LI, incoming: list[Projection], heaviest: float, profile: HardwareProfile) -> float:
    weights = np.zeros(p.n)
    for q in incoming:
        weights += np.bincount(q.indices, weights=np.abs(q.weights * p.gain[q.indices]), minlength=p.n)
    reach = float(((weights / (1 - p.decay_u) + np.abs(p.bias)) / (1 - p.decay_v)).max())
    bias = float(np.abs(p.bias).max())
    limits = ((0.98 * STATE_MAX, reach), (64 * 254, heaviest), (_bias_limit(profile), bias))
    return min((limit / value for limit, value in limits if value), default=64.0)


def _rounding(p: LIF, incoming: list[Projection], scale: float, profile: HardwareProfile) -> float:
    error = sum(quantize_projection(q, p.gain, scale, profile)[1].relative_error ** 2 for q in incoming)
    threshold = np.rint(scale * p.v_th / 64) * 64 / scale / p.v_th - 1
    return error + float((threshold**2).max())


def quantize_population(p: Neurons, scale: float, profile: HardwareProfile) -> Neurons:
    """Constants in fixed point: decays in 1/4096, thresholds as mantissa, kappa and bias in units of v."""
    decay_v, decay_u = _decay(p.decay_v, 1), _decay(p.decay_u, 0)
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
    """8-bit weights; synapses that round to zero are dropped. `exponent`: by default the one that just holds the largest."""
    wanted = q.weights * gain[q.indices] * (scale / 64)
    low, high = WEIGHT_RANGES[q.sign_mode]
    step = 2 if q.sign_mode == "mixed" else 1
    if exponent is None:
        first, last = profile.limit_range("weight_exp")
        largest = float(np.abs(wanted).max(initial=0))
        limit = min(high, -low) if q.sign_mode == "mixed" else max(high, -low)
        exponent = int(np.clip(np.ceil(np.log2(largest / limit)), first, last)) if largest else 0
    exact = wanted / 2.0**exponent
    rounded = np.rint(exact / step) * step
    integer = np.clip(rounded, low, high).astype(np.int64)
    keep = integer != 0
    norm = float(np.linalg.norm(wanted))
    report = ProjectionReport(
        name=q.name,
        sign_mode=q.sign_mode,
        scale=scale / 64 / 2.0**exponent,
        weight_exp=exponent,
        synapses=int(np.count_nonzero(keep)),
        lost=int(np.count_nonzero(~keep)),
        clipped=int(np.count_nonzero(rounded != integer)),
        relative_error=float(np.linalg.norm(integer * 2.0**exponent - wanted)) / (norm or 1.0),
    )
    indptr = np.concatenate([[0], np.cumsum(np.bincount(q.rows[keep], minlength=q.n_source))]).astype(np.int64)
    signs = None if q.signs is None else q.signs[keep]
    return Projection(q.name, q.source, q.target, indptr, q.indices[keep], integer[keep], q.delays[keep], exponent, signs), report


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
