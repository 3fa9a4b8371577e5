"""How large the whole numbers of a plasticity rule can get."""

import numpy as np

from neuromorph.graph.projections import Projection


def rule_fits(q: Projection, n_target: int) -> bool:
    """Whether no number of a rule leaves 32 bits, and no sum of what its synapses send."""
    rule = q.plasticity
    if rule is None or rule.fixed is None:
        return True
    fixed, (eta, limit) = rule.fixed, (int(rule.eta), int(rule.third_limit))
    product = max(abs(int(rule.post_offset)), abs(fixed.trace_max - int(rule.post_offset))) * fixed.trace_max
    change = {"hebbian": eta * product, "modulated": limit * product, "retroactive": limit * fixed.eligibility_max}[rule.rule]
    kept = ((4096 - eta) * fixed.eligibility_max + (eta * product << fixed.eligibility_shift)) if rule.rule == "retroactive" else 0
    return max(change + 2**fixed.change_shift, kept + 2**12, int(plastic_sums(q, n_target).max(initial=0))) < 2**31


def plastic_sums(q: Projection, n: int) -> np.ndarray:
    """The largest plastic part of a sum that arrives [n], before it is shifted."""
    assert q.plasticity is not None, "a plastic projection"
    return np.bincount(q.indices, np.abs(q.plasticity.alpha) * q.plasticity.clip, n).astype(np.int64)
