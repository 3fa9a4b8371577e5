"""The step of one population as Brian2 abstract code: the same operations in the same order as the reference.

No ODE, no `refractory`, no `reset`: nothing is left to an integrator's choice. Integer states are int64; only comparisons
go through `int()`, which is 32 bits wide in C++ and numpy. `//` floors on every target.
"""

from neuromorph.backends.brian2 import rule
from neuromorph.graph.populations import ALIF, LI, Neurons
from neuromorph.graph.projections import Projection

CURRENT_FLOAT = "u = decay_u*u + ({current})"
CURRENT_INTEGER = """
sign_u = 1 - 2*int(u < 0)
u = sign_u*((sign_u*u*decay_u)//4096) + 64*({current})
above_u = int(u > 8388608)
below_u = int(u <= -8388608)
u += 16777216*(below_u - above_u)
wraps_u += above_u + below_u
"""
ADAPT_FLOAT = "a = decay_a*a + kappa*z"
ADAPT_INTEGER = """
a = (a*decay_a)//4096 + z*kappa
above_a = int(a > 8388607)
a += above_a*(8388607 - a)
clips_a += above_a
"""
MEMBRANE_FLOAT = "v = decay_v*({before}) + gain*u + bias{less}"
MEMBRANE_INTEGER = """
v = {before}
sign_v = 1 - 2*int(v < 0)
v = sign_v*((sign_v*v*decay_v)//4096) + u + bias{less}
above_v = int(v > 8388607)
below_v = int(v < -8388607)
v += above_v*(8388607 - v) - below_v*(8388607 + v)
clips_v += above_v + below_v
"""
FIRE = """
theta = {theta}
z = int(v > theta)*int(quiet <= 0)
quiet = z*n_ref + (1 - z)*(quiet - int(quiet > 0))
"""
COUNTERS = {"u": "wraps_u", "v": "clips_v", "a": "clips_a"}
"""Where the integer code counts that a state variable was wrapped or clipped."""


def arrivals(incoming: tuple[Projection, ...]) -> dict[str, int]:
    """The variables in which the weights of spikes add up that arrive by a population's incoming projections, and their exponents."""
    found: dict[str, int] = {}
    for k, q in enumerate(incoming):
        found[rule.arrived(k)] = q.weight_exp
        if q.plasticity and q.plasticity.fixed:
            found[rule.learnt(k)] = q.plasticity.fixed.alpha_exp
    return found


def update(p: Neurons, incoming: tuple[Projection, ...], integer: bool) -> str:
    """Lines 1-6 of the step, for the arrivals of the projections onto `p`, in the graph's order."""
    arrived = arrivals(incoming)
    sums = [_shifted(variable, exponent) for variable, exponent in arrived.items()]
    less = " - a" if isinstance(p, ALIF) and p.adaptation == "current" else ""
    before = "v"
    if not isinstance(p, LI):
        before, less = ("v", less + " - z*theta") if p.reset == "subtract" else ("v*(1 - z) + v_reset*z", less)
    parts = [
        (CURRENT_INTEGER if integer else CURRENT_FLOAT).format(current=" + ".join(sums) or "0"),
        (ADAPT_INTEGER if integer else ADAPT_FLOAT) if isinstance(p, ALIF) else "",
        (MEMBRANE_INTEGER if integer else MEMBRANE_FLOAT).format(before=before, less=less),
        "" if isinstance(p, LI) else FIRE.format(theta=_threshold(p, integer)),
        *(f"{variable} = 0" for variable in arrived),
    ]
    return "\n".join(parts)


def variables(p: Neurons, incoming: tuple[Projection, ...], integer: bool) -> tuple[list[str], list[str]]:
    """Names of the state variables of the graph's precision, and of those that are whole numbers in both."""
    states = ["u", "a", "v"] if isinstance(p, ALIF) else ["u", "v"]
    counters = [COUNTERS[x] for x in states] if integer else []
    learning = [rule.post_variables(k, q.plasticity) for k, q in enumerate(incoming) if q.plasticity]
    states += [*arrivals(incoming), *(x for own, _ in learning for x in own)]
    counters += [x for _, own in learning for x in own]
    return (states, counters) if isinstance(p, LI) else ([*states, "theta"], ["z", "quiet", *counters])


def _threshold(p: Neurons, integer: bool) -> str:
    base = "64*v_th" if integer else "v_th"
    return f"{base} + a" if isinstance(p, ALIF) and p.adaptation == "threshold" else base


def _shifted(variable: str, exponent: int) -> str:
    if exponent == 0:
        return variable
    return f"{variable}*{2**exponent}" if exponent > 0 else f"{variable}//{2**-exponent}"
