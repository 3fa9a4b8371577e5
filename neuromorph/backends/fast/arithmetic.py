"""What differs between floats and fixed point in the step; everything else is written once.

Floats are float64. Integers are those of Lava's bit-accurate models and of Loihi: 24-bit states, 12-bit factors, in int32 or
int64. Each function works on lanes of either kind, in compiled code only.
"""

from inspect import unwrap
from typing import Any

from numba import types
from numba.extending import overload

from neuromorph.simd.lanes import INLINED, greater, larger, low_product, smaller, splat, where, zeros

TURN, HALF, STATE_MAX = 2**24, 2**23, 2**23 - 1
POINT, FRACTION, LOW = 12, 2**12 - 1, 2**13 - 1


def whole(lanes: Any) -> bool:
    """Whether a type of lanes holds integers."""
    return isinstance(lanes.dtype, types.Integer)


def decayed(x: Any, factor: Any) -> Any:
    """x * factor; integers: x * factor / 4096, rounded toward zero, without an intermediate number wider than x."""


@overload(decayed, jit_options=INLINED)
def _decayed(x, factor):
    all_but_sign = x.dtype.bitwidth - 1

    def floats(x, factor):
        return factor * x

    def integers(x, factor):
        sign = x >> all_but_sign
        size = (x ^ sign) - sign
        moved = (size >> POINT) * factor + (((size & FRACTION) * factor) >> POINT)
        return (moved ^ sign) - sign

    def narrow(x, factor):  # in products of 16 bits, which are faster: |x| has 27 bits at most, the factor 13
        sign = x >> all_but_sign
        size, f = ((x ^ sign) - sign) << 4, factor & LOW
        moved = (size >> 16) * f + low_product(size, f)
        return (moved ^ sign) - sign

    return unwrap(floats if not whole(x) else narrow if x.dtype == types.int32 else integers)


def amplified(x: Any, gain: Any) -> Any:
    """x * gain; of integers the gain is folded into the weights."""


@overload(amplified, jit_options=INLINED)
def _amplified(x, gain):
    def floats(x, gain):
        return gain * x

    def integers(x, gain):
        return x

    return unwrap(integers if whole(x) else floats)


def wrapped(u: Any) -> Any:
    """Integers after one turn around (-2^23, 2^23], as Lava's LIF does with the synaptic current."""


@overload(wrapped, jit_options=INLINED)
def _wrapped(u):
    def floats(u):
        return u

    def integers(u):
        turned = where(greater(u, splat(HALF, u)), u - TURN, u)
        return where(greater(splat(1 - HALF, u), u), u + TURN, turned)

    return unwrap(integers if whole(u) else floats)


def clipped(x: Any) -> Any:
    """Integers within +-(2^23 - 1)."""


@overload(clipped, jit_options=INLINED)
def _clipped(x):
    def floats(x):
        return x

    def integers(x):
        return larger(smaller(x, splat(STATE_MAX, x)), splat(-STATE_MAX, x))

    return unwrap(integers if whole(x) else floats)


def raised(total: Any, shift: Any) -> Any:
    """The sum that came through a line, as current: integers * 2^(6 + shift)."""


@overload(raised, jit_options=INLINED)
def _raised(total, shift):
    def floats(total, shift):
        return total

    def integers(total, shift):
        return total << (shift + 6)

    return unwrap(integers if whole(total) else floats)


def lowered(total: Any, shift: Any) -> Any:
    """The same for a negative shift: integers / 2^-shift, rounded down, then * 2^6."""


@overload(lowered, jit_options=INLINED)
def _lowered(total, shift):
    def floats(total, shift):
        return total

    def integers(total, shift):
        return (total >> (zeros(shift) - shift)) << 6

    return unwrap(integers if whole(total) else floats)
