"""Three-factor plasticity as Brian2 abstract code: the operations of `backends.plastic` in the same order.

A plastic projection lives in three places. `terminals`, one a source neuron: whether a spike arrives (`fired`) and the presynaptic trace
`p`. Its target's neurons, where it is the k-th incoming projection: the postsynaptic trace `s_k`, `q_k` of it, the third factor `m_k`. Its
synapses: `H`, and `E` where the rule has one.
"""

from neuromorph.graph.plasticity import FixedPoint, Plasticity


def arrived(k: int) -> str:
    """The variable into which a population's k-th incoming projection adds its weights."""
    return f"arrived_{k}"


def learnt(k: int) -> str:
    """The variable into which integers add alpha*H, which has an exponent of its own."""
    return f"learnt_{k}"


def clips(variable: str) -> str:
    """Where the integer code counts that a variable was clipped."""
    return f"clips_{variable}"


def third(k: int) -> str:
    """The variable that is linked to the signal or readout."""
    return f"third_{k}"


def arrive(k: int, rule: Plasticity) -> str:
    """Line 1, for the synapses of the terminals at which a spike arrives."""
    if rule.fixed is None:
        return f"{arrived(k)}_post += w + alpha*H"
    return f"{arrived(k)}_post += w\n{learnt(k)}_post += alpha*H"


def terminals(rule: Plasticity) -> str:
    """Line 2."""
    return "\n".join([_trace(rule, "p", rule.decay_pre, "fired", rule.fixed.pre_step if rule.fixed else 1), "fired = 0"])


def post_variables(k: int, rule: Plasticity) -> tuple[list[str], list[str]]:
    """Variables of the target's neurons: those of the graph's precision, and counters."""
    factor = [f"m_{k}"] if rule.third_factor else []
    return [f"s_{k}", f"q_{k}", *factor], [clips(f"s_{k}")] if rule.fixed else []


def post(k: int, rule: Plasticity, from_readout: bool) -> str:
    """Lines 3 and 4."""
    parts = [_trace(rule, f"s_{k}", rule.decay_post, "z", rule.fixed.post_step if rule.fixed else 1)]
    parts.append(f"q_{k} = s_{k} - ({_number(rule, rule.post_offset)})")
    if rule.third_factor:
        shift = rule.fixed.third_shift if rule.fixed and from_readout else 0
        given = f"{third(k)}//{2**shift}" if shift else third(k)
        parts.append(_bounded(rule, f"m_{k}", given, rule.third_limit))
    return "\n".join(parts)


def learn(k: int, rule: Plasticity) -> str:
    """Line 5, for every synapse. H comes first, and so finds the old E."""
    product = f"(q_{k}_post*p_pre)"
    eta = _number(rule, rule.eta)
    change = {"hebbian": f"{eta}*{product}", "modulated": f"m_{k}_post*{product}", "retroactive": f"m_{k}_post*E"}[rule.rule]
    if rule.fixed:
        change = _rounded(change, rule.fixed.change_shift, rule.fixed, 0)
    parts = [_bounded(rule, "H", f"H + {change}", rule.clip)]
    if rule.rule == "retroactive":
        parts.append(_eligibility(product, rule))
    return "\n".join(parts)


def _eligibility(product: str, rule: Plasticity) -> str:
    if rule.fixed is None:
        return f"E = {_number(rule, 1 - rule.eta)}*E + {_number(rule, rule.eta)}*{product}"
    mixed = f"{4096 - rule.eta}*E + {rule.eta * 2**rule.fixed.eligibility_shift}*{product}"
    return _bounded(rule, "E", _rounded(mixed, 12, rule.fixed, 1), rule.fixed.eligibility_max, clips("E"))


def _trace(rule: Plasticity, trace: str, decay: float | int, spike: str, step: int) -> str:
    if rule.fixed is None:
        return f"{trace} = {_number(rule, decay)}*{trace} + {spike}"
    return _bounded(rule, trace, f"({trace}*{decay})//4096 + {step}*{spike}", rule.fixed.trace_max, clips(trace))


def _bounded(rule: Plasticity, variable: str, value: str, most: float | int, counter: str = "") -> str:
    """variable = value, clipped to +-most; of integers without `clip`, whose bounds are floats in C++, and counted if so wished."""
    if rule.fixed is None:
        return f"{variable} = clip({value}, -{_number(rule, most)}, {_number(rule, most)})"
    above, below = f"above_{variable}", f"below_{variable}"
    lines = [f"{variable} = {value}", f"{above} = int({variable} > {most})", f"{below} = int({variable} < -{most})"]
    lines.append(f"{variable} += {above}*({most} - {variable}) - {below}*({most} + {variable})")
    return "\n".join([*lines, f"{counter} += {above} + {below}"] if counter else lines)


def _rounded(x: str, shift: int, fixed: FixedPoint, draw: int) -> str:
    """See `graph.plasticity.rounded`."""
    if shift == 0:
        return x
    half = str(1 << (shift - 1))
    drawn = f"random_bits({shift}, {fixed.seed}, {draw}, t_in_timesteps, sample_pre, place)"
    return f"({x} + {half if fixed.rounding == 'nearest' else drawn})//{1 << shift}"


def _number(rule: Plasticity, x: float | int) -> str:
    """In all its digits, and of the kind that the rule computes with."""
    return repr(float(x)) if rule.fixed is None else repr(int(x))
