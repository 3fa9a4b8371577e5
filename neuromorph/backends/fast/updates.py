"""Line 5 of plasticity for one row of synapses, in lanes; what differs between floats and fixed point."""

from inspect import unwrap
from typing import Any

from numba import types
from numba.extending import overload

from neuromorph.backends.fast.layout import WORD
from neuromorph.backends.fast.rules import HEBBIAN, RETROACTIVE, E
from neuromorph.simd.lanes import INLINED, at, differ, inlined, larger, load_any, load_half, ones, smaller, splat, store_half, widen


def faded(x: Any, decay: Any) -> Any:
    """A trace one step later; integers count 1/4096."""


@overload(faded, jit_options=INLINED)
def _faded(x, decay):
    def floats(x, decay):
        return decay * x

    def integers(x, decay):
        return (x * decay) >> 12

    return unwrap(integers if isinstance(x, types.Integer) else floats)


def lessened(y: Any, shift: Any) -> Any:
    """A readout as third factor; integers / 2^shift, rounded down."""


@overload(lessened, jit_options=INLINED)
def _lessened(y, shift):
    def floats(y, shift):
        return y

    def integers(y, shift):
        return y >> shift

    return unwrap(integers if isinstance(y, types.Integer) else floats)


def update_row(q: Any, row: Any, p: Any, j: Any, t: Any, number: Any, quiet: Any, rules: Any, s: Any, saturated: Any) -> None:
    """H and E of a row of projection q; p: its presynaptic trace; s.q and s.m from j on belong to its synapses; `number`: of the sample.

    What lies behind the last synapse of a row changes too and means nothing.
    """


@overload(update_row, jit_options=INLINED)
def _update_row(q, row, p, j, t, number, quiet, rules, s, saturated):
    def floats(q, row, p, j, t, number, quiet, rules, s, saturated):
        first, kind, eta, clip = at(rules.first, row) // WORD, rules.kind[q], rules.eta[q], rules.clip[q]
        for w in range(-(-at(rules.size, row) // WORD)):
            product, m, h = load_any(s.q, j + w * WORD) * p, load_any(s.m, j + w * WORD), load_half(s.H, first + w)
            change = eta * product if kind == HEBBIAN else m * product
            if kind == RETROACTIVE:
                e = load_half(s.E, first + w)
                change = m * e
                store_half(s.E, first + w, rules.kept[q] * e + eta * product)
            if not quiet:
                store_half(s.H, first + w, _within(h + change, clip))

    def integers(q, row, p, j, t, number, quiet, rules, s, saturated):
        first, kind, eta, clip = at(rules.first, row) // WORD, rules.kind[q], rules.eta[q], rules.clip[q]
        stochastic, most, raised = rules.stochastic[q] != 0, rules.eligibility_max[q], rules.eligibility_shift[q]
        key_h, key_e = _key(rules.seed[q], t, 0, number), _key(rules.seed[q], t, 1, number)
        for w in range(-(-at(rules.size, row) // WORD)):
            product, m, h = load_any(s.q, j + w * WORD) * p, load_any(s.m, j + w * WORD), load_half(s.H, first + w)
            hashed = load_half(rules.hashed, first + w)
            change = product * eta if kind == HEBBIAN else m * product
            if kind == RETROACTIVE:
                e = load_half(s.E, first + w)
                change = m * e
                raw = _rounded(e * rules.kept[q] + ((product * eta) << raised), 12, stochastic, hashed + key_e, s.E)
                e = _within(raw, most)
                saturated[q, E] += ones(differ(raw, e) & at(rules.own, first + w))
                store_half(s.E, first + w, e)
            if not quiet:
                change = _rounded(change, rules.change_shift[q], stochastic, hashed + key_h, s.H)
                store_half(s.H, first + w, _within(h + change, clip))

    return unwrap(integers if isinstance(p, types.Integer) else floats)


@inlined
def _within(x, limit):
    return larger(splat(-limit, x), smaller(splat(limit, x), x))


@inlined
def _key(seed, t, draw, number):
    """The sum that `graph.plasticity.random_bits` begins with, without the synapse."""
    return (seed * 0x9E3779B1 + t * 0xC2B2AE3D + draw * 0x165667B1 + number * 0x85EBCA77) & 0xFFFFFFFF


@inlined
def _rounded(x, shift, stochastic, key, like):
    """`graph.plasticity.rounded`."""
    if stochastic:
        return (x + widen(_random_bits(shift, key), like)) >> shift
    return (x + ((1 << shift) >> 1)) >> shift


@inlined
def _random_bits(bits, x):
    """The rest of `graph.plasticity.random_bits`, of at most 31 bits; shifts are those of signed numbers, whose upper bits are cut off."""
    x = (x ^ ((x >> 15) & 0x1FFFF)) * 0x2C1B3C6D
    x = (x ^ ((x >> 12) & 0xFFFFF)) * 0x297A2D39
    return (((x ^ ((x >> 15) & 0x1FFFF)) >> 1) & 0x7FFFFFFF) >> (31 - bits)
