"""Compiled forward steps of a plastic layer: one sample at a time, whose H stays in the cache while it is read and updated.

The rules are those of `rules`; the oracle is the loop over `PlasticCore.step`. Sums may be taken in any order.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

HEBBIAN, MODULATED, RETROACTIVE = range(3)
RULES = {"hebbian": HEBBIAN, "modulated": MODULATED, "retroactive": RETROACTIVE}

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "cache": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "_nrt": False,
}


def compiled(function: Callable[..., Any]) -> Any:
    """numba's version of a function, without the type checks that tests wrap it in; sums may be reordered, NaN and inf hold."""
    return njit(**_OPTIONS)(inspect.unwrap(function))


def inlined(function: Callable[..., Any]) -> Any:
    """As `compiled`, always inlined into its callers, so that LLVM sees which arrays are one."""
    return njit(**_OPTIONS, forceinline=True)(inspect.unwrap(function))


class Form(NamedTuple):
    """Number of the rule, whether M is given, whether the cell is an LSTM, whether M has a weight a synapse: in `Weights.eta`."""

    rule: int
    given: bool
    lstm: bool
    wide: bool


class Weights(NamedTuple):
    """Parameters, all of one number type. `w`, `alpha` [n, n]; `eta` [n, n]: of the rule hebbian, or the weights of M; `rate` [1]: eta of
    the eligibility trace; `clip` [1].

    `gates` [3 n, n]: recurrent weights of input, forget and output gate; [0, n] without. `readout` [n], `readout_bias` [1]: of
    M = tanh(readout h + bias); `fan`, `fan_bias` [n]: M_j = fan_j M + fan_bias_j.
    """

    w: np.ndarray
    gates: np.ndarray
    alpha: np.ndarray
    eta: np.ndarray
    rate: np.ndarray
    clip: np.ndarray
    readout: np.ndarray
    readout_bias: np.ndarray
    fan: np.ndarray
    fan_bias: np.ndarray


class Record(NamedTuple):
    """What a run leaves for its backward pass; nothing of it is as large as H.

    `drive` [T, B, g]: input and bias of candidate, then of the gates; g is n or 4 n. `h`, `c` [T + 1, B, n] (c empty without
    cells). `act` [T, B, g]: activated candidate (the postsynaptic factor) and gates. `m` [T, B]: M before fan-out; `M` [T, B, n].
    """

    drive: np.ndarray
    h: np.ndarray
    c: np.ndarray
    act: np.ndarray
    m: np.ndarray
    M: np.ndarray


@inlined
def follow(H, a, b, E, t, sample, form, p, r):
    """H[b], E[b] after step t, from H[a], E[a] before it (a may be b)."""
    n = len(p.w)
    clip = p.clip[0]
    rate = p.rate[0]
    for j in range(n):
        post = r.act[t, sample, j]
        if form.rule == HEBBIAN:
            for i in range(n):
                H[b, j, i] = max(-clip, min(clip, H[a, j, i] + p.eta[j, i] * post * r.h[t, sample, i]))
        elif form.rule == MODULATED:
            pushed = r.M[t, sample, j] * post
            if form.wide:
                for i in range(n):
                    H[b, j, i] = max(-clip, min(clip, H[a, j, i] + pushed * p.eta[j, i] * r.h[t, sample, i]))
            else:
                for i in range(n):
                    H[b, j, i] = max(-clip, min(clip, H[a, j, i] + pushed * r.h[t, sample, i]))
        elif form.rule == RETROACTIVE:
            M = r.M[t, sample, j]
            if form.wide:
                for i in range(n):
                    H[b, j, i] = max(-clip, min(clip, H[a, j, i] + M * p.eta[j, i] * E[a, j, i]))
            else:
                for i in range(n):
                    H[b, j, i] = max(-clip, min(clip, H[a, j, i] + M * E[a, j, i]))
            for i in range(n):
                E[b, j, i] = E[a, j, i] + rate * (post * r.h[t, sample, i] - E[a, j, i])


@inlined
def _sigmoid(x):
    one = x * 0 + 1
    return one / (one + math.exp(-x))


@inlined
def _cell(t, b, form, p, r, H):
    """New h (and c) of sample b: the candidate sees h_{t-1} through w + alpha H, the gates through fixed weights (eq. 1)."""
    n = len(p.w)
    for j in range(n):
        total = r.drive[t, b, j]
        for i in range(n):
            total += (p.w[j, i] + p.alpha[j, i] * H[b, j, i]) * r.h[t, b, i]
        r.act[t, b, j] = math.tanh(total)
    for j in range(len(p.gates)):
        total = r.drive[t, b, n + j]
        for i in range(n):
            total += p.gates[j, i] * r.h[t, b, i]
        r.act[t, b, n + j] = _sigmoid(total)
    for j in range(n):
        if form.lstm:
            c = r.act[t, b, 2 * n + j] * r.c[t, b, j] + r.act[t, b, n + j] * r.act[t, b, j]
            r.c[t + 1, b, j] = c
            r.h[t + 1, b, j] = r.act[t, b, 3 * n + j] * math.tanh(c)
        else:
            r.h[t + 1, b, j] = r.act[t, b, j]


@inlined
def _modulate(t, b, p, r):
    """M of sample b from its new hidden state, fanned out."""
    total = p.readout_bias[0]
    for i in range(len(p.w)):
        total += p.readout[i] * r.h[t + 1, b, i]
    m = math.tanh(total)
    r.m[t, b] = m
    for j in range(len(p.w)):
        r.M[t, b, j] = m * p.fan[j] + p.fan_bias[j]


@compiled
def advance(low, high, first, last, form, p, r, H, E):
    """Steps first .. last - 1 of samples low .. high - 1; H and E [B, n, n] are changed in place."""
    for b in range(low, high):
        for t in range(first, last):
            _cell(t, b, form, p, r, H)
            if form.rule >= MODULATED and not form.given:
                _modulate(t, b, p, r)
            follow(H, b, b, E, t, b, form, p, r)
