"""What makes a plasticity rule one that every simulator can run."""

from collections.abc import Iterator, Mapping

import numpy as np

from neuromorph.graph.names import NAME
from neuromorph.graph.plasticity import NUMBERS, ROUNDINGS, RULES, Plasticity
from neuromorph.graph.populations import LI, LIF, Population
from neuromorph.graph.projections import Projection

FLOAT_RULES = {
    "eta": (0.0, 1.0),
    "decay_pre": (0.0, np.nextafter(1.0, 0.0)),
    "decay_post": (0.0, np.nextafter(1.0, 0.0)),
    "post_offset": (-1e9, 1e9),
    "third_limit": (0.0, 1e9),
    "clip": (0.0, 1e9),
}
INTEGER_RULES = {
    "eta": (0, 4096),
    "decay_pre": (0, 4095),
    "decay_post": (0, 4095),
    "post_offset": (-255, 255),
    "third_limit": (0, 2**15 - 1),
    "clip": (0, 2**15 - 1),
}
FIXED_RANGES = {
    "alpha_exp": (-24, 16),
    "pre_step": (0, 255),
    "post_step": (0, 255),
    "trace_max": (1, 255),
    "third_shift": (0, 24),
    "change_shift": (0, 31),
    "eligibility_shift": (0, 12),
    "eligibility_max": (1, 2**15 - 1),
    "seed": (0, 2**31 - 1),
}
"""Widths: traces 8 bits, alpha 8 bits and a sign, third factor, eligibility and plastic part 16 bits with the sign."""


def rule_faults(q: Projection, rule: Plasticity, known: Mapping[str, Population]) -> Iterator[str]:
    """Faults of a plasticity rule in the order in which to mend them."""
    if rule.rule not in RULES:
        yield f"rule is {rule.rule!r}; allowed: {', '.join(RULES)}."
    if rule.alpha.shape != q.weights.shape or rule.alpha.dtype != q.weights.dtype:
        wanted = f"{q.weights.dtype} {q.weights.shape}"
        yield f"alpha is {rule.alpha.dtype} {rule.alpha.shape}; give one for each synapse, as the weights: {wanted}."
    if not np.isfinite(rule.alpha).all():
        yield "alpha must be finite."
    if (q.delays != 1).any():
        yield f"it is plastic and has delays up to {q.max_delay}; plastic synapses have a delay of one step."
    if not isinstance(known[q.target], LIF):
        yield f"it is plastic and ends at {q.target!r}, which does not spike; plastic synapses end at LIF or ALIF neurons."
    yield from _third_factor_faults(q, rule, known)
    yield from _number_faults(rule, integer=q.weights.dtype == np.int64)


def _third_factor_faults(q: Projection, rule: Plasticity, known: Mapping[str, Population]) -> Iterator[str]:
    name = rule.third_factor
    if rule.rule == "hebbian":
        if name:
            yield f"the hebbian rule has no third factor, {name!r} is given; leave it out."
        return
    if not NAME.fullmatch(name):
        yield f"third_factor is {name!r}; name the signal or the readout (LI) that modulates, with A-Z a-z 0-9 _ . > - alone."
    source = known.get(name)
    if source is not None and not (isinstance(source, LI) and source.n in (1, known[q.target].n)):
        yield f"third_factor {name!r} is a {type(source).__name__} of {source.n}; it must be an LI of 1 or {known[q.target].n} neurons."


def _number_faults(rule: Plasticity, *, integer: bool) -> Iterator[str]:
    ranges = INTEGER_RULES if integer else FLOAT_RULES
    for name in NUMBERS:
        value, (low, high) = getattr(rule, name), ranges[name]
        if isinstance(value, bool) or not isinstance(value, int if integer else (int, float)) or not low <= value <= high:
            yield f"{name} is {value!r}; allowed in {'an integer' if integer else 'a float'} graph: {low:g} to {high:g}."
    if integer != (rule.fixed is not None):
        yield f"fixed is {'missing' if integer else 'given'}; integer graphs have it, float graphs have none."
    if rule.fixed is None or not integer:
        return
    if rule.alpha.size and int(np.abs(rule.alpha).max()) > 255:
        yield f"alpha reaches {int(np.abs(rule.alpha).max())}; it has 8 bits and a sign, at most 255."
    for name, (low, high) in FIXED_RANGES.items():
        if not low <= getattr(rule.fixed, name) <= high:
            yield f"fixed.{name} is {getattr(rule.fixed, name)}; allowed: {low} to {high}."
    if rule.fixed.rounding not in ROUNDINGS:
        yield f"fixed.rounding is {rule.fixed.rounding!r}; allowed: {', '.join(ROUNDINGS)}."
