"""A whole sequence of the LSNN in one compiled call, forwards and backwards (numba, no compiler needed).

PyTorch's loop spends most of its time between its tens of small operations a step. Here each sample runs through all
steps on its own: the step of `neurons.fire`, and backwards its transpose with the surrogate's derivatives (Bellec 2018:
dz/dv = (gamma / theta) max(0, 1 - |v - theta| / theta), dz/dtheta = -dz/dv v / theta). Samples are shared out to threads.
The loop stays the oracle; in float64 both give the same spikes and gradients.
"""

import inspect
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuromorph.train.neurons import LSNNConstants
from neuromorph.train.surrogate import Bellec

CONSTANTS = ("decay_v", "decay_u", "gain", "bias", "v_th", "v_reset", "decay_a", "kappa", "n_ref")


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """numba's version of a function, without the type checks that the tests wrap it in."""
    return numba.njit(nogil=True, cache=True)(inspect.unwrap(function))


def can_run(drives: Tensor, p: LSNNConstants) -> bool:
    """Whether the kernel knows this layer: on the CPU, with Bellec's surrogate."""
    return drives.device.type == "cpu" and isinstance(p.surrogate, Bellec)


def run_sequence(
    drives: Float[Tensor, "time batch n"], recurrent_weights: Float[Tensor, "n n"], p: LSNNConstants
) -> Float[Tensor, "time batch n"]:
    """Spikes from zero state; `drives` are the weighted input spikes of each step, which arrive one step later.

    Differentiable in drives and weights [n_target, n_source].
    """
    return _Sequence.apply(drives, recurrent_weights, p)  # pyright: ignore[reportReturnType]


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drives: Tensor, weights: Tensor, p: LSNNConstants) -> Tensor:
        drives = drives.contiguous()
        v, theta, z, free = (torch.empty_like(drives) for _ in range(4))
        incoming = weights.t().contiguous()
        constants = _constants(p)
        _share(_forward, drives.shape[1], _arrays(drives, incoming, *constants), _forms(p), _arrays(v, theta, z, free))
        ctx.save_for_backward(weights, v, theta, z, free)
        ctx.constants, ctx.p = constants, p
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weights, v, theta, z, free = ctx.saved_tensors
        currents = torch.empty_like(v)
        arrays = _arrays(grads[0].contiguous(), weights.contiguous(), *ctx.constants)
        gamma = v.numpy().dtype.type(ctx.p.surrogate.gamma)
        _share(_backward, v.shape[1], arrays, (*_forms(ctx.p), gamma), _arrays(v, theta, z, free, currents))
        drives = torch.cat([currents[1:], torch.zeros_like(currents[:1])])
        return drives, drives.flatten(0, 1).t() @ z.flatten(0, 1), None


def _constants(p: LSNNConstants) -> list[Tensor]:
    return [getattr(p, name) for name in CONSTANTS]


def _forms(p: LSNNConstants) -> tuple[bool, bool]:
    return p.reset == "subtract", p.adaptation == "threshold"


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)


def _share(kernel: Any, batch: int, arrays: tuple[Any, ...], forms: tuple[Any, ...], states: tuple[Any, ...]) -> None:
    """Run `kernel` on equal parts of the batch, one a processor (torch's own small operations are fastest on one thread)."""
    n = max(1, min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, batch // 8))
    if n == 1:
        kernel(0, batch, *arrays, *forms, *states)
        return
    cuts = [batch * k // n for k in range(n + 1)]
    with ThreadPoolExecutor(n) as pool:
        list(pool.map(lambda first, last: kernel(first, last, *arrays, *forms, *states), cuts[:-1], cuts[1:]))


@_compiled
def _forward(
    first, last, drives, incoming, decay_v, decay_u, gain, bias, v_th, v_reset, decay_a, kappa, n_ref, subtract, by_threshold,
    v, theta, z, free,
):  # fmt: skip
    """Samples first..last - 1: v, theta, z and whether a spike was free to come (not refractory) at each step."""
    n_steps, _, n = drives.shape
    current = np.zeros(n, drives.dtype)
    u, a = np.zeros(n, drives.dtype), np.zeros(n, drives.dtype)
    quiet = np.zeros(n, np.int64)
    for b in range(first, last):
        u[:] = 0
        a[:] = 0
        quiet[:] = 0
        for t in range(n_steps):
            if t == 0:
                current[:] = 0
            else:
                current[:] = drives[t - 1, b]
                for j in range(n):
                    if z[t - 1, b, j] != 0:
                        for i in range(n):
                            current[i] += incoming[j, i]
            for i in range(n):
                fired = z[t - 1, b, i] if t else current[i] * 0
                before = v[t - 1, b, i] if t else current[i] * 0
                u[i] = decay_u[i] * u[i] + current[i]
                a[i] = decay_a[i] * a[i] + kappa[i] * fired
                threshold = v_th[i] + a[i] if by_threshold else v_th[i]
                if subtract:
                    x = decay_v[i] * before + gain[i] * u[i] + bias[i]
                    if fired != 0:
                        x -= theta[t - 1, b, i]
                else:
                    x = decay_v[i] * (v_reset[i] if fired != 0 else before) + gain[i] * u[i] + bias[i]
                if not by_threshold:
                    x -= a[i]
                spike = x > threshold and quiet[i] == 0
                v[t, b, i] = x
                theta[t, b, i] = threshold
                free[t, b, i] = quiet[i] == 0
                z[t, b, i] = spike
                quiet[i] = n_ref[i] if spike else max(quiet[i] - 1, 0)


@_compiled
def _backward(
    first, last, grad, weights, decay_v, decay_u, gain, bias, v_th, v_reset, decay_a, kappa, n_ref, subtract, by_threshold, gamma,
    v, theta, z, free, currents,
):  # fmt: skip
    """The transposed step: `currents` receives the gradient of the synaptic input of each step."""
    n_steps, _, n = grad.shape
    bz, bv, ba, bu = np.zeros(n, grad.dtype), np.zeros(n, grad.dtype), np.zeros(n, grad.dtype), np.zeros(n, grad.dtype)
    for b in range(first, last):
        bv[:] = 0
        ba[:] = 0
        bu[:] = 0
        for t in range(n_steps - 1, -1, -1):
            bz[:] = grad[t, b]
            for i in range(n):
                x = bu[i]
                if x != 0:
                    for j in range(n):
                        bz[j] += x * weights[i, j]
            for i in range(n):
                x, threshold, later = v[t, b, i], theta[t, b, i], bv[i]
                bz[i] += kappa[i] * ba[i]
                if subtract:
                    bz[i] -= threshold * later
                    kept = decay_v[i] * later
                else:
                    bz[i] += decay_v[i] * (v_reset[i] - x) * later
                    kept = decay_v[i] * (1 - z[t, b, i]) * later
                ratio = x / threshold
                psi = gamma / threshold * max(1 - abs(ratio - 1), 0) * free[t, b, i] * bz[i]
                bv[i] = psi + kept
                ba[i] *= decay_a[i]
                if by_threshold:
                    ba[i] -= psi * ratio
                    if subtract:
                        ba[i] -= z[t, b, i] * later
                else:
                    ba[i] -= bv[i]
                bu[i] = decay_u[i] * bu[i] + gain[i] * bv[i]
                currents[t, b, i] = bu[i]
