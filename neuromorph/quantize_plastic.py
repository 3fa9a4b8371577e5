"""Plasticity rules in a chip's integers: scales of traces, eligibility, third factor and plastic part, and what they cost.

One unit of a float is pre_step units of the integer p, post_step of q, pre_step * post_step of E, third_scale of M, and of H those of the
change (see `graph.plasticity`) over 2^change_shift: as many as keep the clip within 16 bits. Traces and E cannot saturate. Weights and
alpha share the scale of their target's potential.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from neuromorph.errors import QuantizationError
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import FixedPoint, Plasticity, Rounding
from neuromorph.graph.projections import Projection
from neuromorph.shapes import Float64

TRACE_MAX = 2**8 - 1
WIDE = 2**15 - 1  # of eligibility and plastic part, a sign beside it
ALPHA_MAX = 255
THIRD = 127  # of the third factor, a sign beside it
PREFIX = "third_scale."


@dataclass(frozen=True)
class PlasticReport:
    """`third_scale`, `eligibility_scale`, `plastic_scale`: integer units of M, E and H for one of the float rule; `alpha_error`: |rounded -
    float| over |float|, Euclidean norms; `errors`: relative ones of the rule's numbers, decays in terms of the time constant.
    """

    name: str
    rule: str
    third_factor: str
    rounding: str
    third_scale: float
    eligibility_scale: float
    plastic_scale: float
    alpha_error: float
    errors: Mapping[str, float]


def third_scales(graph: Graph, scales: Mapping[str, float]) -> dict[str, tuple[float, int]]:
    """By third factor: integer units of M for one of the float, and the shift that brings a readout there. `scales`: of populations."""
    found: dict[str, tuple[float, int]] = {}
    for q in graph.plastic:
        rule = q.plasticity
        if rule is None or not rule.third_factor:
            continue
        name, wanted = rule.third_factor, _power_of_two(THIRD / rule.third_limit) if rule.third_limit else 1.0
        if name in scales:
            shift = int(np.clip(np.ceil(np.log2(scales[name] * rule.third_limit / THIRD)), 0, 24))
            found[name] = scales[name] / 2**shift, shift
        else:
            found[name] = min(wanted, found.get(name, (wanted, 0))[0]), 0
    return found


def quantize_plasticity(
    q: Projection, gain: Float64[np.ndarray, " n"], scale: float, third: tuple[float, int], rounding: Rounding, seed: int
) -> tuple[Plasticity, PlasticReport]:
    """The rule of a float projection in integers. `gain`: of the target's neurons; `scale`: integer v per float v of the target; `third`:
    see `third_scales`.

    Raises:
        QuantizationError: the clip is 0 or so large that no shift makes it fit.
    """
    rule = q.plasticity
    assert rule is not None, "a plastic projection"
    pre, post = (int(np.clip(_power_of_two(TRACE_MAX * (1 - d)), 1, 128)) for d in (rule.decay_pre, rule.decay_post))
    per_change = {"hebbian": 4096.0 * pre * post, "modulated": third[0] * pre * post, "retroactive": third[0] * pre * post}[rule.rule]
    shift = int(np.ceil(np.log2(max(per_change * rule.clip, 1e-300) / WIDE)))
    h_scale = per_change / 2.0 ** max(shift, 0)
    if h_scale * rule.clip < 1 or shift > 31:
        units = f"{h_scale * rule.clip:.3g} integer units of H"
        raise QuantizationError(f"Projection {q.name!r}: its clip {rule.clip:g} is {units}; give one near 1 (and scale alpha with it).")
    wanted = rule.alpha * gain[q.indices] * (scale / 64) / h_scale
    largest = float(np.abs(wanted).max(initial=0))
    exponent = int(np.clip(np.ceil(np.log2(largest / ALPHA_MAX)), -24, 16)) if largest else 0
    alpha = np.clip(np.rint(wanted / 2.0**exponent), -ALPHA_MAX, ALPHA_MAX).astype(np.int64)
    fixed = FixedPoint(exponent, pre, post, TRACE_MAX, third[1], max(shift, 0), 0, WIDE, rounding, seed)
    made = Plasticity(
        rule.rule,
        alpha,
        eta=int(np.clip(round(rule.eta * 4096), 1 if rule.eta else 0, 4096)),
        decay_pre=_decay(rule.decay_pre),
        decay_post=_decay(rule.decay_post),
        post_offset=round(rule.post_offset * post),
        third_limit=round(rule.third_limit * third[0]) if rule.third_factor else 0,
        clip=round(rule.clip * h_scale),
        third_factor=rule.third_factor,
        fixed=fixed,
    )
    error = float(np.linalg.norm(alpha * 2.0**exponent - wanted) / (np.linalg.norm(wanted) or 1.0))
    errors = _errors(rule, made, post)
    return made, PlasticReport(q.name, rule.rule, rule.third_factor, rounding, third[0], float(pre * post), h_scale, error, errors)


def quantize_third_factors(integer: Graph, signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Signals of the float graph in the units of the integer graph that `quantize` made of it.

    Raises:
        QuantizationError: the graph does not know the scale of a signal.
    """
    found: dict[str, np.ndarray] = {}
    for name, signal in signals.items():
        if PREFIX + name not in integer.metadata:
            known = ", ".join(key.removeprefix(PREFIX) for key in integer.metadata if key.startswith(PREFIX)) or "none"
            raise QuantizationError(f"Third factor {name!r}: the graph's metadata have no scale for it (they have: {known}).")
        found[name] = np.rint(np.asarray(signal) * float(integer.metadata[PREFIX + name])).astype(np.int64)
    return found


def limit_eligibility(integer: Graph, observed: Mapping[str, np.ndarray], share: float = 0.99) -> Graph:
    """The integer graph with E bounded where this `share` of |E| lies, so that a chip's tags of 8 bits resolve what is common.

    `observed`: E of some samples by projection, as recordings and sessions give it; zeros do not count. Projections that are not in it
    stay as they are.

    Raises:
        QuantizationError: no such plastic projection of integers, a share that is not above 0 and at most 1, or E is 0 throughout.
    """
    if not 0 < share <= 1:
        raise QuantizationError(f"limit_eligibility: share is {share:g}; it must be above 0 and at most 1.")
    known = {q.name: q for q in integer.plastic if q.plasticity and q.plasticity.fixed}
    limits = dict[str, int]()
    for name, e in observed.items():
        if name not in known:
            raise QuantizationError(f"Projection {name!r} has no rule in integers; those that have: {', '.join(known) or 'none'}.")
        size = np.abs(e[e != 0])
        if not size.size:
            raise QuantizationError(f"Projection {name!r}: E is 0 throughout, so it has no common size; observe samples that spike.")
        limits[name] = max(1, int(np.quantile(size, share)))
    return replace(integer, projections=tuple(_limited(q, limits[q.name]) if q.name in limits else q for q in integer.projections))


def _limited(q: Projection, largest: int) -> Projection:
    rule = q.plasticity
    assert rule is not None, "checked above"
    assert rule.fixed is not None, "checked above"
    return replace(q, plasticity=replace(rule, fixed=replace(rule.fixed, eligibility_max=min(largest, rule.fixed.eligibility_max))))


def _power_of_two(x: float) -> float:
    """The largest power of two that is not above x."""
    return float(2.0 ** np.floor(np.log2(x)))


def _decay(decay: float) -> int:
    return int(np.clip(round(decay * 4096), 1, 4095)) if decay else 0


def _errors(rule: Plasticity, made: Plasticity, post: int) -> dict[str, float]:
    errors: dict[str, float] = {}
    for name in ("decay_pre", "decay_post"):
        if exact := getattr(rule, name):
            errors[name] = abs(np.log(exact) / np.log(getattr(made, name) / 4096) - 1)
    for name, unit in (("eta", 4096), ("post_offset", post)):
        if exact := getattr(rule, name):
            errors[name] = abs(getattr(made, name) / unit / exact - 1)
    return {name: float(error) for name, error in errors.items()}
