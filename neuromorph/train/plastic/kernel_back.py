"""Compiled backward pass of a plastic layer, by hand, one sample after the other.

H and E of past steps are not kept but followed again from the recorded activations: once through all steps for checkpoints every
`segment` steps, then segment by segment from the last to the first. Both stay in the working memory of one sample, so that
memory does not grow with the batch.
"""

import math
from typing import NamedTuple

import numpy as np

from neuromorph.train.plastic.kernel import HEBBIAN, MODULATED, RETROACTIVE, compiled, follow, inlined


class Gradients(NamedTuple):
    """`h` [T, B, n]: of the hidden states, given. `dh`, `dc` [B, n], `dH`, `dE` [B, n, n]: of the last state, given, and of the
    first one when done. Made: `drive` [T, B, g], `M` [T, B, n], `readout` [T, B] (argument of the modulator's tanh).
    """

    h: np.ndarray
    dh: np.ndarray
    dc: np.ndarray
    dH: np.ndarray
    dE: np.ndarray
    drive: np.ndarray
    M: np.ndarray
    readout: np.ndarray


class Sums(NamedTuple):
    """Gradients of a group of samples, added up: `alpha`, `eta` [n, n], `rate` [1]."""

    alpha: np.ndarray
    eta: np.ndarray
    rate: np.ndarray


class Work(NamedTuple):
    """Of one thread: `H`, `E` [segment + 1, n, n]; `kept_H`, `kept_E` [segments, n, n]; `post`, `pre` [n]: gradients of the factors."""

    H: np.ndarray
    E: np.ndarray
    kept_H: np.ndarray
    kept_E: np.ndarray
    post: np.ndarray
    pre: np.ndarray


@inlined
def _copy(source, a, target, b):
    for j in range(source.shape[1]):
        for i in range(source.shape[2]):
            target[b, j, i] = source[a, j, i]


@inlined
def _checkpoints(b, form, p, r, first_H, first_E, work):
    """`work.kept_*[k]`: before the first step of segment k."""
    segment = len(work.H) - 1
    _copy(first_H, b, work.kept_H, 0)
    _copy(first_E, b, work.kept_E, 0)
    for k in range(1, len(work.kept_H)):
        _copy(work.kept_H, k - 1, work.kept_H, k)
        _copy(work.kept_E, k - 1, work.kept_E, k)
        for t in range((k - 1) * segment, k * segment):
            follow(work.kept_H, k, k, work.kept_E, t, b, form, p, r)


@inlined
def _masked(b, j, s, p, g, work):
    """The clip passes no gradient where H reached its bound."""
    clip = p.clip[0]
    for i in range(len(p.w)):
        g.dH[b, j, i] = g.dH[b, j, i] if abs(work.H[s + 1, j, i]) < clip else clip * 0


@inlined
def _unhebb(t, b, s, p, r, g, sums, work):
    """H = clip(H + eta post pre^T)."""
    n = len(p.w)
    for j in range(n):
        _masked(b, j, s, p, g, work)
        post, total = r.act[t, b, j], p.clip[0] * 0
        for i in range(n):
            total += p.eta[j, i] * g.dH[b, j, i] * r.h[t, b, i]
        work.post[j] = total
        for i in range(n):
            work.pre[i] += post * p.eta[j, i] * g.dH[b, j, i]
        for i in range(n):
            sums.eta[j, i] += post * r.h[t, b, i] * g.dH[b, j, i]


@inlined
def _unmodulate_wide(t, b, s, p, r, g, sums, work):
    """H = clip(H + M eta post pre^T), eta a weight a synapse."""
    n = len(p.w)
    for j in range(n):
        _masked(b, j, s, p, g, work)
        post, M, total = r.act[t, b, j], r.M[t, b, j], p.clip[0] * 0
        for i in range(n):
            total += p.eta[j, i] * g.dH[b, j, i] * r.h[t, b, i]
        g.M[t, b, j] = total * post
        work.post[j] = total * M
        for i in range(n):
            work.pre[i] += post * M * p.eta[j, i] * g.dH[b, j, i]
        for i in range(n):
            sums.eta[j, i] += post * M * r.h[t, b, i] * g.dH[b, j, i]


@inlined
def _unmodulate(t, b, s, p, r, g, work):
    """H = clip(H + M post pre^T)."""
    n = len(p.w)
    for j in range(n):
        _masked(b, j, s, p, g, work)
        post, M, total = r.act[t, b, j], r.M[t, b, j], p.clip[0] * 0
        for i in range(n):
            total += g.dH[b, j, i] * r.h[t, b, i]
        g.M[t, b, j] = total * post
        work.post[j] = total * M
        for i in range(n):
            work.pre[i] += post * M * g.dH[b, j, i]


@inlined
def _unretro(t, b, s, form, p, r, g, sums, work):
    """H = clip(H + M E) with the old E, or with M eta E; E = (1 - rate) E + rate post pre^T."""
    n = len(p.w)
    rate = p.rate[0]
    kept = rate * 0 + 1 - rate
    for j in range(n):
        _masked(b, j, s, p, g, work)
        post, M = r.act[t, b, j], r.M[t, b, j]
        by_M = through = by_rate = rate * 0
        for i in range(n):
            through += g.dE[b, j, i] * r.h[t, b, i]
            by_rate += g.dE[b, j, i] * work.E[s, j, i]
        if form.wide:
            for i in range(n):
                by_M += p.eta[j, i] * g.dH[b, j, i] * work.E[s, j, i]
            for i in range(n):
                sums.eta[j, i] += M * g.dH[b, j, i] * work.E[s, j, i]
        else:
            for i in range(n):
                by_M += g.dH[b, j, i] * work.E[s, j, i]
        g.M[t, b, j] = by_M
        sums.rate[0] += through * post - by_rate
        work.post[j] = rate * through
        for i in range(n):
            work.pre[i] += rate * post * g.dE[b, j, i]
        if form.wide:
            for i in range(n):
                g.dE[b, j, i] = kept * g.dE[b, j, i] + M * p.eta[j, i] * g.dH[b, j, i]
        else:
            for i in range(n):
                g.dE[b, j, i] = kept * g.dE[b, j, i] + M * g.dH[b, j, i]


@inlined
def _unread(t, b, p, r, g):
    """M_j = fan_j m + fan_bias_j, m = tanh(readout h + bias): back to the new hidden state."""
    n, total = len(p.w), p.clip[0] * 0
    for j in range(n):
        total += g.M[t, b, j] * p.fan[j]
    total *= (total * 0 + 1) - r.m[t, b] * r.m[t, b]
    g.readout[t, b] = total
    for i in range(n):
        g.dh[b, i] += total * p.readout[i]


@inlined
def _uncell(t, b, form, p, r, g, work):
    """From h (and c) and the postsynaptic factor back to the drive of candidate and gates."""
    n, one = len(p.w), p.clip[0] * 0 + 1
    for j in range(n):
        candidate = r.act[t, b, j]
        if not form.lstm:
            g.drive[t, b, j] = (g.dh[b, j] + work.post[j]) * (one - candidate * candidate)
            continue
        into, keep, out = r.act[t, b, n + j], r.act[t, b, 2 * n + j], r.act[t, b, 3 * n + j]
        seen = math.tanh(r.c[t + 1, b, j])
        dc = g.dc[b, j] + g.dh[b, j] * out * (one - seen * seen)
        g.drive[t, b, j] = (dc * into + work.post[j]) * (one - candidate * candidate)
        g.drive[t, b, n + j] = dc * candidate * into * (one - into)
        g.drive[t, b, 2 * n + j] = dc * r.c[t, b, j] * keep * (one - keep)
        g.drive[t, b, 3 * n + j] = g.dh[b, j] * seen * out * (one - out)
        g.dc[b, j] = dc * keep


@inlined
def _unrecur(t, b, s, p, r, g, sums, work):
    """Through w + alpha H and the gates' weights back to h_{t-1}, alpha and H."""
    n = len(p.w)
    for i in range(n):
        g.dh[b, i] = work.pre[i]
    for j in range(n):
        d = g.drive[t, b, j]
        for i in range(n):
            g.dh[b, i] += d * (p.w[j, i] + p.alpha[j, i] * work.H[s, j, i])
        for i in range(n):
            sums.alpha[j, i] += d * r.h[t, b, i] * work.H[s, j, i]
        for i in range(n):
            g.dH[b, j, i] += d * p.alpha[j, i] * r.h[t, b, i]
    for j in range(len(p.gates)):
        d = g.drive[t, b, n + j]
        for i in range(n):
            g.dh[b, i] += d * p.gates[j, i]


@inlined
def _step_back(t, b, s, form, p, r, g, sums, work):
    """Step t of sample b; H and E before it are at place s of the working memory."""
    n = len(p.w)
    for i in range(n):
        g.dh[b, i] += g.h[t, b, i]
        work.post[i] = 0
        work.pre[i] = 0
    if form.rule == HEBBIAN:
        _unhebb(t, b, s, p, r, g, sums, work)
    elif form.rule == MODULATED and form.wide:
        _unmodulate_wide(t, b, s, p, r, g, sums, work)
    elif form.rule == MODULATED:
        _unmodulate(t, b, s, p, r, g, work)
    elif form.rule == RETROACTIVE:
        _unretro(t, b, s, form, p, r, g, sums, work)
    if form.rule >= MODULATED and not form.given:
        _unread(t, b, p, r, g)
    _uncell(t, b, form, p, r, g, work)
    _unrecur(t, b, s, p, r, g, sums, work)


@compiled
def retreat(low, high, form, p, r, first_H, first_E, g, sums, work):
    """All steps of samples low .. high - 1, last to first. `first_H`, `first_E` [B, n, n]: before the first step."""
    steps, segment = len(r.drive), len(work.H) - 1
    for b in range(low, high):
        _checkpoints(b, form, p, r, first_H, first_E, work)
        for k in range(len(work.kept_H) - 1, -1, -1):
            start, stop = k * segment, min(steps, (k + 1) * segment)
            _copy(work.kept_H, k, work.H, 0)
            _copy(work.kept_E, k, work.E, 0)
            for t in range(start, stop):
                follow(work.H, t - start, t - start + 1, work.E, t, b, form, p, r)
            for t in range(stop - 1, start - 1, -1):
                _step_back(t, b, t - start, form, p, r, g, sums, work)
