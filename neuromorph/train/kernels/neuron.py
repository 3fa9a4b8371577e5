"""The step of one neuron in lanes, forwards (`neurons.fire`) and backwards (its transpose)."""

from typing import NamedTuple

import numpy as np

from neuromorph.simd.lanes import (
    exponential,
    inlined,
    keep,
    load,
    multiply_add,
    positive,
    smaller,
    splat,
    store,
    where,
    zeros,
)

BELLEC, MULTI_GAUSSIAN, SUPER, TRIANGLE = range(4)
"""Surrogate derivatives: `surrogate.Bellec`, `surrogate.MultiGaussian`, Norse's "super" and "triangle"."""


class Neurons(NamedTuple):
    """Constants [n] of the step, as `neurons.StepConstants`; `n_ref` int64."""

    decay_v: np.ndarray
    decay_u: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    v_th: np.ndarray
    v_reset: np.ndarray
    decay_a: np.ndarray
    kappa: np.ndarray
    n_ref: np.ndarray


class Form(NamedTuple):
    """Which step: reset by subtraction or to a value, adaptation by threshold or current, with a synaptic current or not.

    `overshoot`: whether the loss depends on it. `psi`: parameters of the surrogate in the layer's number type.
    """

    subtract: bool
    by_threshold: bool
    current: bool
    overshoot: bool
    surrogate: int
    psi: np.ndarray


class State(NamedTuple):
    """Lanes [n, LANES] after the last step; `drive` is what arrives next."""

    v: np.ndarray
    a: np.ndarray
    u: np.ndarray
    drive: np.ndarray


class Adjoint(NamedTuple):
    """Gradient of the loss for v, a and u of the next step, lanes [n, LANES]; `constants` [7, n, LANES] sums for the constants."""

    v: np.ndarray
    a: np.ndarray
    u: np.ndarray
    constants: np.ndarray


@inlined
def advance(j, fired, c, f, s):
    """Lines 2-5 of the step of neuron j; `fired`: mask of its last step. Stores v, a, u; gives v and the threshold."""
    a = load(s.a, j)
    decayed = c.decay_a[j] * a
    new = where(fired, decayed + c.kappa[j], decayed)
    drive = load(s.drive, j)
    if f.current:
        drive = c.decay_u[j] * load(s.u, j) + drive
        store(s.u, j, drive)
    v = load(s.v, j)
    threshold = splat(c.v_th[j], v)
    if f.subtract:
        crossed = threshold
        if f.by_threshold:
            crossed = a + c.v_th[j]
        v = c.decay_v[j] * v + c.gain[j] * drive - keep(fired, crossed)
    else:
        v = c.decay_v[j] * where(fired, splat(c.v_reset[j], v), v) + c.gain[j] * drive
    v = v + c.bias[j]
    if f.by_threshold:
        threshold = new + c.v_th[j]
    else:
        v = v - new
    store(s.a, j, new)
    store(s.v, j, v)
    return v, threshold


@inlined
def blocked(z, t, j, n_ref):
    """Mask of the lanes in which neuron j is refractory at step t."""
    m = np.uint32(0)
    for d in range(1, min(n_ref, t) + 1):
        m |= z[t - d, j]
    return m


@inlined
def overshoot(v, threshold):
    """relu(v - theta) and relu(-v - theta): how far potentials lie outside of the thresholds."""
    return positive(v - threshold), positive(zeros(v) - v - threshold)


@inlined
def _gaussian(x, scale, peak):
    y = x * scale
    return exponential(zeros(x) - y * y) * peak


@inlined
def psi(v, threshold, f):
    """Surrogate derivatives dz/dv and -dz/dtheta."""
    p = f.psi
    if f.surrogate == BELLEC:
        r = p[1] / threshold
        ratio = v * r
        x = ratio - p[1]
        slope = p[0] * r * positive(smaller(p[1] - x, p[1] + x))
        return slope, slope * ratio
    x = v - threshold
    if f.surrogate == MULTI_GAUSSIAN:
        slope = _gaussian(x, p[0], p[1]) - _gaussian(x - p[4], p[2], p[3]) - _gaussian(x + p[4], p[2], p[3])
    else:
        size = positive(x) + positive(zeros(x) - x)
        if f.surrogate == SUPER:
            r = p[0] / (size + p[0])
            slope = r * r
        else:
            slope = p[1] * positive(p[0] - size)
    return slope, slope


@inlined
def adjoint(j, dz, fired, free, v, threshold, over, c, f, g):
    """The transposed step of neuron j: `dz` gradient of its spikes so far, `fired`, `free` masks of this step.

    Updates `g`; gives the gradient of the synaptic input. `over`: lanes of 2 * the weight of squared overshoot.
    """
    later, ga = load(g.v, j), load(g.a, j)
    dz = multiply_add(c.kappa[j], ga, dz)
    if f.subtract:
        dz = dz - threshold * later
        kept = c.decay_v[j] * later
    else:
        dz = dz + c.decay_v[j] * (c.v_reset[j] - v) * later
        kept = c.decay_v[j] * (later - keep(fired, later))
    slope, slope_threshold = psi(v, threshold, f)
    dz = keep(free, dz)
    gv = multiply_add(slope, dz, kept)
    gth = zeros(v) - slope_threshold * dz
    if f.subtract:
        gth = gth - keep(fired, later)
    if f.overshoot:
        above, below = overshoot(v, threshold)
        gv = gv + over * (above - below)
        gth = gth - over * (above + below)
    ga = c.decay_a[j] * ga
    if f.by_threshold:
        ga = ga + gth
    else:
        ga = ga - gv
    current = c.gain[j] * gv
    if f.current:
        current = multiply_add(c.decay_u[j], load(g.u, j), current)
        store(g.u, j, current)
    store(g.v, j, gv)
    store(g.a, j, ga)
    return current, gth
