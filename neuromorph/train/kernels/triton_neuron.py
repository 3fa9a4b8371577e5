"""LSNN layers on a GPU, in Triton: the steps of `neurons.fire` for a tile of samples, forwards and transposed.

One program runs all steps of TILE samples; v, a, u and the refractory counters stay in its registers. Spikes (backwards: the
gradients of the drives) go to memory, from where the next steps read them for their product with the recurrent weights. Rows of
n neurons are padded to WIDTH, a power of two; planes of `plane` = batch n numbers hold a step.
"""

import triton.language as tl

from neuromorph.train.kernels import neuron
from neuromorph.train.kernels.triton_jit import compiled

BELLEC, MULTI_GAUSSIAN, SUPER = tl.constexpr(neuron.BELLEC), tl.constexpr(neuron.MULTI_GAUSSIAN), tl.constexpr(neuron.SUPER)


@compiled
def _arriving(
    sent, matrices, step, rows, columns, batch, n, TILE: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, DELAYS: tl.constexpr
):
    """Sum over delays d = 0, 1, ... of the plane `sent` + d step times matrices[d] [n, n]: [TILE, WIDTH].

    Only this loop may fetch ahead: what it reads first, the step before has just written.
    """
    total = tl.zeros((TILE, WIDTH), sent.dtype.element_ty)
    for d in range(DELAYS):
        for first in tl.range(0, n, BLOCK, num_stages=3):  # pyright: ignore[reportGeneralTypeIssues]
            source = first + tl.arange(0, BLOCK)
            left = (rows[:, None] < batch) & (source[None, :] < n)
            right = (source[:, None] < n) & (columns[None, :] < n)
            z = tl.load(sent + d * step + rows[:, None] * n + source[None, :], mask=left, other=0)
            w = tl.load(matrices + d * n * n + source[:, None] * n + columns[None, :], mask=right, other=0)
            total = tl.dot(z, w, total, input_precision="ieee", out_dtype=total.dtype)
    return total


@compiled
def _constant(constants, k, columns, n, other):
    return tl.load(constants + k * n + columns, mask=columns < n, other=other)[None, :]


@compiled
def forward(
    drives, matrices, constants, v_reset, n_ref, z_trace, free_trace, v_trace, a_trace, u_trace, steps, batch, n, plane,
    SUBTRACT: tl.constexpr, BY_THRESHOLD: tl.constexpr, KEEP: tl.constexpr, CONSTANTS: tl.constexpr,
    TILE: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, DELAYS: tl.constexpr,
):  # fmt: skip
    """Fill `z_trace` [DELAYS + steps, batch, n], silent before its step 0, from `drives` [steps, batch, n].

    matrices: recurrent weights [DELAYS, source, target]. KEEP: fill `v_trace`, `a_trace`, `free_trace` [steps, batch, n];
    CONSTANTS: `u_trace` too.
    """
    rows, columns = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, WIDTH)
    place = rows[:, None] * n + columns[None, :]
    inside = (rows[:, None] < batch) & (columns[None, :] < n)
    plane = tl.cast(plane, tl.int64)
    decay_v, decay_u = _constant(constants, 0, columns, n, 0), _constant(constants, 1, columns, n, 0)
    gain, bias = _constant(constants, 2, columns, n, 0), _constant(constants, 3, columns, n, 0)
    v_th, decay_a, kappa = (
        _constant(constants, 4, columns, n, 1),
        _constant(constants, 5, columns, n, 0),
        _constant(constants, 6, columns, n, 0),
    )
    reset, silent = _constant(v_reset, 0, columns, n, 0), _constant(n_ref, 0, columns, n, 0).to(tl.int32)
    v = tl.zeros((TILE, WIDTH), drives.dtype.element_ty)
    a, u, z = v, v, v
    waiting = tl.zeros((TILE, WIDTH), tl.int32)
    for t in range(steps):
        now = t * plane
        drive = _arriving(z_trace + now + (DELAYS - 1) * plane, matrices, -plane, rows, columns, batch, n, TILE, WIDTH, BLOCK, DELAYS)
        drive += tl.load(drives + now - plane + place, mask=inside & (t > 0), other=0)
        u = decay_u * u + drive
        if SUBTRACT:
            crossed = v_th
            if BY_THRESHOLD:
                crossed = v_th + a
            v = decay_v * v + gain * u - z * crossed
        else:
            v = decay_v * tl.where(z > 0, reset, v) + gain * u
        v += bias
        a = decay_a * a + kappa * z
        theta = v_th
        if BY_THRESHOLD:
            theta = v_th + a
        else:
            v -= a
        free = waiting <= 0
        fired = (v > theta) & free
        z = tl.where(fired, 1.0, 0.0).to(v.dtype)
        waiting = tl.maximum(waiting - 1, tl.where(fired, silent, 0))
        tl.store(z_trace + now + DELAYS * plane + place, z, mask=inside)
        if KEEP:
            tl.store(v_trace + now + place, v, mask=inside)
            tl.store(a_trace + now + place, a, mask=inside)
            tl.store(free_trace + now + place, free.to(tl.int8), mask=inside)
        if CONSTANTS:
            tl.store(u_trace + now + place, u, mask=inside)
        tl.debug_barrier()


@compiled
def _gaussian(x, scale, peak):
    return tl.exp(-(x * scale) * (x * scale)) * peak


@compiled
def _slopes(v, theta, psi, SURROGATE: tl.constexpr):
    """Surrogate derivatives dz/dv and -dz/dtheta, as `neuron.psi`."""
    if SURROGATE == BELLEC:
        ratio = v / theta
        slope = tl.load(psi) * tl.maximum(1 - tl.abs(ratio - 1), 0) / theta
        return slope, slope * ratio
    x = v - theta
    if SURROGATE == MULTI_GAUSSIAN:
        narrow, wide, peak, sigma = tl.load(psi), tl.load(psi + 2), tl.load(psi + 3), tl.load(psi + 4)
        slope = _gaussian(x, narrow, tl.load(psi + 1)) - _gaussian(x - sigma, wide, peak) - _gaussian(x + sigma, wide, peak)
    elif SURROGATE == SUPER:
        slope = 1 / ((1 + tl.abs(x)) * (1 + tl.abs(x)))
    else:
        slope = tl.load(psi + 1) * tl.maximum(1 - tl.abs(x), 0)
    return slope, slope


@compiled
def backward(
    matrices, constants, v_reset, psi, z_trace, free_trace, v_trace, a_trace, u_trace, z_grad, v_grad, a_grad, drive_grad, sums,
    steps, batch, n, plane,
    SUBTRACT: tl.constexpr, BY_THRESHOLD: tl.constexpr, STATES: tl.constexpr, CONSTANTS: tl.constexpr, SURROGATE: tl.constexpr,
    TILE: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, DELAYS: tl.constexpr,
):  # fmt: skip
    """Fill `drive_grad` [steps + DELAYS, batch, n], zero after the last step: gradients of what arrives in each step.

    matrices: recurrent weights [DELAYS, target, source]. `z_grad`, with STATES `v_grad` and `a_grad` [steps, batch, n]: gradients
    of the traces. CONSTANTS: fill `sums` [programs, 7, n], the gradients of `constants` by the samples of each program.
    """
    rows, columns = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, WIDTH)
    place = rows[:, None] * n + columns[None, :]
    inside = (rows[:, None] < batch) & (columns[None, :] < n)
    plane = tl.cast(plane, tl.int64)
    decay_v, decay_u, gain = (
        _constant(constants, 0, columns, n, 0),
        _constant(constants, 1, columns, n, 0),
        _constant(constants, 2, columns, n, 0),
    )
    v_th, decay_a, kappa = (
        _constant(constants, 4, columns, n, 1),
        _constant(constants, 5, columns, n, 0),
        _constant(constants, 6, columns, n, 0),
    )
    reset = _constant(v_reset, 0, columns, n, 0)
    gv = tl.zeros((TILE, WIDTH), z_grad.dtype.element_ty)
    ga, gu = gv, gv
    of_decay_v, of_decay_u, of_gain, of_bias, of_v_th, of_decay_a, of_kappa = gv, gv, gv, gv, gv, gv, gv
    for k in range(steps):
        now = (steps - 1 - k) * plane
        dz = _arriving(drive_grad + now + plane, matrices, plane, rows, columns, batch, n, TILE, WIDTH, BLOCK, DELAYS)
        dz += tl.load(z_grad + now + place, mask=inside, other=0)
        z = tl.load(z_trace + now + place, mask=inside, other=0)
        v = tl.load(v_trace + now + place, mask=inside, other=0)
        a = tl.load(a_trace + now + place, mask=inside, other=0)
        free = tl.load(free_trace + now + place, mask=inside, other=0)
        theta = v_th
        if BY_THRESHOLD:
            theta = v_th + a
        if CONSTANTS:
            u = tl.load(u_trace + now + place, mask=inside, other=0)
            if SUBTRACT:
                of_decay_v += gv * v
            else:
                of_decay_v += gv * tl.where(z > 0, reset, v)
            of_decay_u += gu * u
            of_decay_a += ga * a
            of_kappa += ga * z
        dz += kappa * ga
        if SUBTRACT:
            dz -= theta * gv
            kept = decay_v * gv
        else:
            dz += decay_v * (reset - v) * gv
            kept = decay_v * (1 - z) * gv
        slope, slope_theta = _slopes(v, theta, psi, SURROGATE)
        dz = tl.where(free > 0, dz, 0)
        g_theta = -slope_theta * dz
        if SUBTRACT:
            g_theta -= z * gv
        gv = slope * dz + kept
        ga = decay_a * ga
        if STATES:
            gv += tl.load(v_grad + now + place, mask=inside, other=0)
            ga += tl.load(a_grad + now + place, mask=inside, other=0)
        if BY_THRESHOLD:
            ga += g_theta
        else:
            ga -= gv
        gu = gain * gv + decay_u * gu
        tl.store(drive_grad + now + place, gu, mask=inside)
        if CONSTANTS:
            of_gain += gv * u  # pyright: ignore[reportPossiblyUnboundVariable]
            of_bias += gv
            of_v_th += g_theta
        tl.debug_barrier()
    if CONSTANTS:
        sums += tl.program_id(0) * 7 * n
        _store_sum(sums, of_decay_v, columns, n)
        _store_sum(sums + n, of_decay_u, columns, n)
        _store_sum(sums + 2 * n, of_gain, columns, n)
        _store_sum(sums + 3 * n, of_bias, columns, n)
        _store_sum(sums + 4 * n, of_v_th, columns, n)
        _store_sum(sums + 5 * n, of_decay_a, columns, n)
        _store_sum(sums + 6 * n, of_kappa, columns, n)


@compiled
def _store_sum(to, values, columns, n):
    tl.store(to + columns, tl.sum(values, 0), mask=columns < n)
