"""A plastic projection as a Loihi learning rule: the strings (dw, dt) for Lava's learning engine, or the reasons why there is none.

The engine adds sums of products to a weight and a tag, both of 8 bits and a sign. Here the weight is H and the tag is E, each in a scale of
its own, x1 is the presynaptic trace p, y0 the spike of the target, and one of the target's traces y1 to y3 the third factor:

    retroactive  dw = k * u0 * (y2 - 64) * t            dt = k * y0 * x1 - k * u0 * x1 - k * u0 * t      (the second k from post_offset)
    modulated    dw = k * y0 * (y2 - 64) * x1 - k * u0 * (y2 - 64) * x1
    hebbian      dw = k * y0 * x1 - k * u0 * x1

Traces are of 7 bits without a sign (the engine cuts a negative one to 0 in a step in which its neuron spikes): 64 stands for M = 0.

A k is m * 2^e with m up to 7 and e from -7 to 8. In fixed point the engine shifts a product right by max(0, widths of its factors + 4 - 15)
bits (`LearningRuleApplierBitApprox.apply` of lava-nc 0.10.0); e is printed with that added, so that the rule keeps its scale. The engine is
APPROXIMATE in itself: traces of 7 bits, one random number a step for the rounding of all synapses. `weight_exp` brings H to the scale of
the target; H is clipped where the weight ends, at -256 and 255.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from neuromorph.errors import BackendError
from neuromorph.graph.graph import Graph
from neuromorph.graph.plasticity import FixedPoint, Plasticity
from neuromorph.graph.projections import Projection

WIDTHS = {"x1": 7, "(y1": 7, "(y2": 7, "(y3": 7, "t": 9}  # by the first word of a factor
MANTISSA_BITS, ACCUMULATOR_BITS = 4, 15
MANTISSAS, EXPONENTS = range(1, 8), range(-7, 9)
SYNAPTIC = 255  # largest weight and tag
TRACE, THIRD_ZERO = 127, 64  # largest trace; the trace of a third factor of 0
THIRD_TRACES = ("y2", "y3", "y1")  # which carry the third factors of a target, in this order


@dataclass(frozen=True)
class LoihiRule:
    """What Lava's `Loihi3FLearningRule` and `LearningDense` take, and what it stands for.

    `third_trace`: the trace that carries the third factor (M >> `third_shift`) + `third_zero`. `weight_exp`: of the learned weights.
    `h_unit`, `e_unit`: H for one unit of weight, E for one of the tag. `errors`: relative ones of the coefficients k, of the trace's
    impulse, and by how much H ends beyond its clip (above 0) or before it.
    """

    dw: str
    dt: str
    x1_impulse: int
    x1_tau: float
    third_trace: str
    third_shift: int
    third_limit: int
    third_zero: int
    weight_exp: int
    h_unit: float
    e_unit: float
    errors: Mapping[str, float]

    def __str__(self) -> str:
        lines = [f"dw = {self.dw}", *([f"dt = {self.dt}"] if self.dt else [])]
        lines += [f"x1: impulse {self.x1_impulse}, tau {self.x1_tau:.4g} steps", f"weight_exp {self.weight_exp}, H = {self.h_unit:.4g} * w"]
        return "\n".join([*lines, "errors: " + ", ".join(f"{name} {100 * error:+.1f} %" for name, error in self.errors.items())])


@dataclass
class _Terms:
    """Products of a rule as strings, with the errors of their coefficients and what cannot be said."""

    errors: dict[str, float] = field(default_factory=dict[str, float])
    faults: list[str] = field(default_factory=list[str])

    def product(self, name: str, k: float, factors: str) -> str:
        """`k` times the factors, its exponent compensated; "" if k is 0."""
        if not k:
            return ""
        parts = factors.split(" * ")
        shift = max(0, sum(WIDTHS.get(factor.split()[0], 0) for factor in parts) + MANTISSA_BITS - ACCUMULATOR_BITS)
        wanted = abs(k) * 2**shift
        mantissa, exponent = min(
            ((m, e) for m in MANTISSAS for e in EXPONENTS), key=lambda number: abs(math.log(number[0] * 2.0 ** number[1] / wanted))
        )
        error = mantissa * 2.0**exponent / wanted - 1
        if abs(error) > 0.1:
            shifted = f", 2^{shift} of it to make up for a shift" if shift else ""
            self.faults.append(f"{factors} has the coefficient {wanted:.3g}{shifted}; there is m * 2^e with m up to 7 and e from -7 to 8")
        self.errors[name] = error
        return f"{'-' if k < 0 else '+'} {mantissa}*2^{exponent} * {factors}"


def compile_rule(graph: Graph, q: Projection) -> LoihiRule:
    """The learning rule of a plastic projection of an integer graph.

    Raises:
        BackendError: the chip's engine cannot express it; every reason is given.
    """
    rule = q.plasticity
    if rule is None:
        raise BackendError(f"Learning rule of {q.name!r}: the projection is not plastic.")
    faults = list(_faults(graph, q, rule))
    if not faults:
        assert rule.fixed is not None, "refused above"
        made, faults = _compiled(graph, q, rule, rule.fixed)
        if not faults:
            return made
    raise BackendError(
        f"Learning rule of {q.name!r}: Loihi's learning engine cannot express it: {'; '.join(faults)}. Change the rule, or run it exactly "
        '(LavaBackend(learning="exact"), the reference).'
    )


def _faults(graph: Graph, q: Projection, rule: Plasticity) -> Iterator[str]:
    """What no choice of scales mends."""
    if rule.fixed is None:
        yield "the graph is of floats, quantise it first"
    if not q.n_synapses or not rule.alpha.any() or (rule.alpha != rule.alpha[0]).any():
        yield "alpha must be the same for all synapses and not 0: learned weights share one weight_exp and have no gain of their own"
    if rule.decay_post:
        yield f"decay_post is {rule.decay_post}: the three-factor engine knows the target's spike y0, no trace of it; give 0"
    if not rule.clip:
        yield "clip is 0, nothing can be learned"
    if rule.fixed and not 0 < rule.fixed.pre_step <= rule.fixed.trace_max:
        yield f"pre_step is {rule.fixed.pre_step}: the trace needs an impulse from 1 to trace_max {rule.fixed.trace_max}"
    others = _third_factors_of(graph, q.target)
    if len(others) > len(THIRD_TRACES):
        yield f"{q.target!r} gets {len(others)} third factors ({', '.join(others)}); a neuron has {len(THIRD_TRACES)} traces to carry them"


def _third_factors_of(graph: Graph, target: str) -> list[str]:
    given = (q.plasticity.third_factor for q in graph.plastic if q.plasticity and q.target == target)
    return list(dict.fromkeys(name for name in given if name))


def _compiled(graph: Graph, q: Projection, rule: Plasticity, fixed: FixedPoint) -> tuple[LoihiRule, list[str]]:
    """The rule with scales: x1 of p, tag of E, weight of H, trace of M; and what its coefficients cannot be."""
    gain = float(rule.alpha[0]) * 2.0**fixed.alpha_exp
    weight_exp = round(math.log2(abs(gain) * rule.clip / SYNAPTIC))
    h_scale = gain / 2.0**weight_exp
    impulse = max(1, round(fixed.pre_step * min(1.0, TRACE / fixed.trace_max)))
    tag_scale = 2.0 ** math.floor(math.log2(SYNAPTIC / _largest_eligibility(rule, fixed)))
    third_shift = max(0, int(rule.third_limit).bit_length() - 6)
    third = _third_factors_of(graph, q.target)
    trace = THIRD_TRACES[third.index(rule.third_factor)] if rule.third_factor else ""
    factor = f"({trace} - {THIRD_ZERO})"
    terms = _Terms()
    units = impulse / fixed.pre_step, tag_scale, h_scale, 2.0**-third_shift
    dw, dt = _strings(terms, rule, fixed, factor, *units)
    if not dw or (rule.rule == "retroactive" and not dt):
        terms.faults.append("nothing changes H: eta, or post_step and post_offset, are 0")
    terms.errors["impulse"] = impulse / (fixed.pre_step * min(1.0, TRACE / fixed.trace_max)) - 1
    terms.errors["clip"] = SYNAPTIC / abs(h_scale) / rule.clip - 1
    by_readout = bool(rule.third_factor) and rule.third_factor not in graph.third_factors
    return LoihiRule(
        dw,
        dt,
        x1_impulse=impulse,
        x1_tau=-1 / math.log(rule.decay_pre / 4096) if rule.decay_pre else 0.0,
        third_trace=trace,
        third_shift=third_shift + (fixed.third_shift if by_readout else 0),
        third_limit=int(rule.third_limit) >> third_shift,
        third_zero=THIRD_ZERO,
        weight_exp=weight_exp,
        h_unit=1 / h_scale,
        e_unit=1 / tag_scale,
        errors=terms.errors,
    ), terms.faults


def _largest_eligibility(rule: Plasticity, fixed: FixedPoint) -> int:
    """What E cannot exceed: its limit, and q * p in its units."""
    q = max(abs(fixed.post_step - int(rule.post_offset)), abs(int(rule.post_offset)))
    return max(1, min(fixed.eligibility_max, q * fixed.trace_max << fixed.eligibility_shift))


def _strings(terms: _Terms, rule: Plasticity, fixed: FixedPoint, third: str, x1: float, tag: float, h: float, m: float) -> tuple[str, str]:
    """dw and dt (""; none). `x1`, `tag`, `h`, `m`: units of trace, tag, weight and third factor for one of p, E, H and M."""
    per_change = h / 2.0**fixed.change_shift
    if rule.rule == "retroactive":
        eta = rule.eta / 4096
        pair = eta * 2.0**fixed.eligibility_shift * tag / x1
        dt = [*_pairs(terms, "", pair, rule, fixed), terms.product("leak", -eta, "u0 * t")]
        return _sum([terms.product("third", per_change / (tag * m), f"u0 * {third} * t")]), _sum(dt)
    if rule.rule == "modulated":
        return _sum(_pairs(terms, f"{third} * ", per_change / (x1 * m), rule, fixed)), ""
    return _sum(_pairs(terms, "", rule.eta * per_change / x1, rule, fixed)), ""


def _pairs(terms: _Terms, third: str, k: float, rule: Plasticity, fixed: FixedPoint) -> list[str]:
    """q * p: what a spike of the target brings, less the offset in every step."""
    spike = terms.product("pair", k * fixed.post_step, f"y0 * {third}x1")
    return [spike, terms.product("offset", -k * rule.post_offset, f"u0 * {third}x1")]


def _sum(products: list[str]) -> str:
    return " ".join(product for product in products if product).removeprefix("+ ")


def rules_of(graph: Graph) -> dict[str, LoihiRule]:
    """The rule of every plastic projection by name; errors as `compile_rule`."""
    return {q.name: compile_rule(graph, q) for q in graph.plastic}
