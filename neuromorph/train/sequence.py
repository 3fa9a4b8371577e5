"""An LSNN layer over a whole sequence: the loop over steps, and its adjoint written by hand.

Autograd through the loop costs several times what the numbers need: tens of graph nodes and a weight gradient at every
step. `run_sequence` gives the same gradients from one graph node: forwards it runs the step itself, backwards the step's
transpose, with the surrogate's derivatives and the weight gradient computed once for all steps.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neuromorph.train.neurons import Active, LSNNConstants, LSNNState, fire


def trajectory(drives: Tensor, weights: Tensor, start: LSNNState, p: LSNNConstants) -> list[LSNNState]:
    """The states after each step; `drives` [time, batch, n] is the weighted input of each step."""
    on, transposed, states = p.active(), weights.t(), []
    for drive in drives.unbind(0):
        fired = fire(states[-1] if states else start, p, on)
        states.append(fired._replace(drive=torch.addmm(drive, fired.z, transposed)))
    return states


def run_sequence(
    drives: Float[Tensor, "time batch n"], weights: Float[Tensor, "n n"], start: LSNNState, p: LSNNConstants
) -> tuple[Float[Tensor, "time batch n"], LSNNState]:
    """Spikes of all steps and the last state; differentiable in drives, recurrent weights and start, once."""
    z, *last = _Sequence.apply(drives, weights, p, *start)  # pyright: ignore[reportGeneralTypeIssues]
    return z, LSNNState(z[-1], *last)


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drives: Tensor, weights: Tensor, p: LSNNConstants, *start: Tensor) -> tuple[Tensor, ...]:
        states = [LSNNState(*start), *trajectory(drives, weights, LSNNState(*start), p)]
        z, v, theta = (torch.stack([getattr(s, name) for s in states]) for name in ("z", "v", "theta"))
        free = torch.stack([s.refractory for s in states[:-1]]) <= 0
        ctx.save_for_backward(weights, z, v, theta, free)
        ctx.p = p
        last = [x.clone() for x in states[-1][1:]]
        ctx.mark_non_differentiable(last[LSNNState._fields.index("refractory") - 1])
        return z[1:].clone(), *last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weights, z, v, theta, free = ctx.saved_tensors
        p, on = ctx.p, ctx.p.active()
        by_v, by_theta = _derivatives(p, v[1:], theta[1:], free)
        zero = torch.zeros_like(z[0])
        b = LSNNState(zero, *grads[1:])._replace(refractory=zero)
        into = []
        steps = zip(*(x.unbind(0) for x in (grads[0], by_v, by_theta, -z[:-1], v[:-1], -theta[:-1])))
        for grad_z, *derivatives in reversed(list(steps)):
            into.append(b.drive)
            b = b._replace(z=torch.addmm(b.z + grad_z, b.drive, weights))
            b = _fire_adjoint(b, *derivatives, p, on)
        grad_drives = torch.stack(into[::-1])
        grad_weights = grad_drives.flatten(0, 1).t() @ z[1:].flatten(0, 1)
        return grad_drives, grad_weights, None, *b._replace(refractory=None)


def _derivatives(p: LSNNConstants, v: Tensor, theta: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """dz/dv and dz/dtheta of all steps at once, zero where refractoriness blocks the spike."""
    with torch.enable_grad():
        inputs = v.detach().requires_grad_(), theta.detach().requires_grad_()
        by_v, by_theta = torch.autograd.grad(p.surrogate(*inputs).sum(), inputs)
    return by_v * free, by_theta * free


def _fire_adjoint(
    b: LSNNState, by_v: Tensor, by_theta: Tensor, minus_z: Tensor, v: Tensor, minus_theta: Tensor, p: LSNNConstants, on: Active
) -> LSNNState:
    """The transpose of `fire`: the loss's derivative with respect to the state before, from that (`b`) after the step.

    `by_v`, `by_theta`: derivatives of this step's spikes; `minus_z`, `v`, `minus_theta`: state before the step.
    `b.refractory` is zero and stays so.
    """
    zero, moving_threshold = b.refractory, on.adaptation and p.adaptation == "threshold"
    bv, ba = torch.addcmul(b.v, by_v, b.z), b.a
    if moving_threshold:
        ba = torch.addcmul(b.theta, by_theta, b.z).add_(ba)
    elif on.adaptation:
        ba = ba - bv
    bu = torch.addcmul(b.u, bv, p.gain)
    start = p.decay_v * bv
    if p.reset == "subtract":
        bz, bv_before, btheta = minus_theta * bv, start, minus_z * bv if moving_threshold else zero
    else:
        bz, bv_before, btheta = (p.v_reset - v).mul_(start), torch.addcmul(start, start, minus_z), zero
    if on.adaptation:
        bz, ba = bz.addcmul_(ba, p.kappa), p.decay_a * ba
    return LSNNState(bz, bv_before, p.decay_u * bu if on.current else zero, ba, btheta, zero, bu)
