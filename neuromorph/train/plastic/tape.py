"""Runs of a plastic layer on the compiled kernels, step by step or whole, and their exact gradients for PyTorch's autograd."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuromorph.simd.buffers import scratch, zeros
from neuromorph.simd.share import share
from neuromorph.train.plastic.kernel import MODULATED, Form, Record, Weights, advance
from neuromorph.train.plastic.kernel_back import Gradients, Sums, Work, retreat

GROUP = 4
"""Samples whose gradients are added up by one thread; fixed, so that results do not depend on the number of threads."""

SHARED_FROM = 2**20
"""Synapse updates from which threads share a piece of a run."""


class Parts(NamedTuple):
    """The differentiable inputs of a run: given `M` [T, B, n], the first state, and parameters as in `kernel.Weights`.

    `rate` is a scalar; `alpha` and `eta` are spread over [n, n]. What a rule lacks is empty or zero.
    """

    M: Tensor
    h: Tensor
    c: Tensor
    H: Tensor
    E: Tensor
    w: Tensor
    gates: Tensor
    alpha: Tensor
    eta: Tensor
    rate: Tensor
    readout: Tensor
    readout_bias: Tensor
    fan: Tensor
    fan_bias: Tensor


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class Tape:
    """A run of at most `steps` steps: `advance` as far as the drive is known, `finish` to get its gradients."""

    def __init__(self, form: Form, clip: float, steps: int, parts: Parts) -> None:
        self.form, self.parts, self.steps, self.now = form, parts, steps, 0
        dtype = _numpy(parts.w).dtype
        batch, n = parts.h.shape
        cells, width = parts.c.shape[1], n + len(parts.gates)
        rate, bound = _numpy(parts.rate.reshape(1)), np.array([clip], dtype)
        w, gates, alpha, eta, readout, fan, fan_bias = (
            _numpy(each) for each in (parts.w, parts.gates, parts.alpha, parts.eta, parts.readout, parts.fan, parts.fan_bias)
        )
        bias = _numpy(parts.readout_bias.reshape(1))
        self.weights = Weights(w, gates, alpha, eta, rate, bound, readout, bias, fan, fan_bias)
        h, c = scratch((steps + 1, batch, n), dtype), scratch((steps + 1, batch, cells), dtype)
        drive, act = (scratch((steps, batch, width), dtype) for _ in range(2))
        self.record = Record(drive, h, c, act, scratch((steps, batch), dtype), scratch((steps, batch, n), dtype))
        h[0], c[0] = _numpy(parts.h), _numpy(parts.c)
        self.H, self.E = (_numpy(each).copy() for each in (parts.H, parts.E))

    @property
    def batch(self) -> int:
        return self.record.h.shape[1]

    def advance(self, drive: Tensor, M: Tensor | None = None) -> Tensor:
        """Hidden states [k, B, n] of k more steps, without gradient, from their `drive` [k, B, g] and given `M` [k, B, n]."""
        first, last = self.now, self.now + len(drive)
        self.record.drive[first:last] = _numpy(drive)
        if M is not None:
            self.record.M[first:last] = _numpy(M)
        work = (first, last, self.form, self.weights, self.record, self.H, self.E)
        if len(drive) * self.batch * self.weights.w.size < SHARED_FROM:
            advance(0, self.batch, *work)
        else:
            share(lambda: lambda b: advance(b, b + 1, *work), self.batch)
        self.now = last
        return torch.from_numpy(self.record.h[first + 1 : last + 1].copy())

    def finish(self, drive: Tensor, parts: Parts) -> tuple[Tensor, ...]:
        """Hidden states [T, B, n] and the last c, H, E, with gradients to `drive` [T, B, g] and `parts` (equal to those of the run)."""
        return _Run.apply(self, drive, *parts)  # pyright: ignore[reportReturnType]

    def values(self) -> tuple[Tensor, ...]:
        r, now = self.record, self.now
        return tuple(torch.from_numpy(each.copy()) for each in (r.h[1 : now + 1], r.c[now], self.H, self.E))

    def cut(self) -> Record:
        """The record of the steps that were made."""
        r, now = self.record, self.now
        return Record(r.drive[:now], r.h[: now + 1], r.c[: now + 1], r.act[:now], r.m[:now], r.M[:now])


class _Run(torch.autograd.Function):
    """What a tape holds, as one operation of its drive and parts."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, drive: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        ctx.tape = tape
        ctx.save_for_backward(*parts)  # complains when one is changed before the backward pass
        return tape.values()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts = Parts(*ctx.saved_tensors)
        return None, *gradients(ctx.tape, parts, *grads)


def gradients(tape: Tape, parts: Parts, dh: Tensor, dc: Tensor, dH: Tensor, dE: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of drive and `Parts` from those of hidden states [T, B, n] and of the last c, H and E."""
    g, sums = _retreat(tape, dh, dc, dH, dE)
    r, p = tape.cut(), tape.weights
    n = len(p.w)
    drive, before, after = (torch.from_numpy(each) for each in (g.drive, r.h[:-1], r.h[1:]))
    rows = drive.flatten(0, 1)
    recurrent = rows.T @ before.flatten(0, 1)
    learned = tape.form.rule >= MODULATED and not tape.form.given
    M, argument, m = (torch.from_numpy(each) for each in (g.M, g.readout, r.m))
    by_fan = torch.einsum("tb,tbj->j", m, M) if learned else torch.zeros(n, dtype=drive.dtype)
    return (
        drive,
        M,
        *(torch.from_numpy(each) for each in (g.dh, g.dc, g.dH, g.dE)),
        recurrent[:n],
        recurrent[n:],
        torch.from_numpy(sums.alpha.sum(0)),
        torch.from_numpy(sums.eta.sum(0)),
        torch.from_numpy(sums.rate.sum(0)).reshape(parts.rate.shape),
        torch.einsum("tb,tbi->i", argument, after),
        argument.sum().reshape(parts.readout_bias.shape),
        by_fan,
        M.sum((0, 1)) if learned else torch.zeros_like(by_fan),
    )


def _retreat(tape: Tape, dh: Tensor, dc: Tensor, dH: Tensor, dE: Tensor) -> tuple[Gradients, Sums]:
    """The backward kernel over groups of samples."""
    r, p, dtype = tape.cut(), tape.weights, tape.weights.w.dtype
    steps, batch, n = r.M.shape
    first = [_numpy(each) for each in (tape.parts.H, tape.parts.E)]
    last = [_numpy(each).copy() for each in (dc, dH, dE)]
    made = [np.zeros(shape, dtype) for shape in (r.drive.shape, r.M.shape, r.m.shape)]
    g = Gradients(_numpy(dh), np.zeros((batch, n), dtype), *last, *made)
    groups = -(-batch // GROUP)
    sums = Sums(*(zeros((groups, *shape), dtype) for shape in (p.alpha.shape, p.eta.shape, (1,))))
    segment = math.isqrt(steps - 1) + 1

    def work() -> Any:
        count = -(-steps // segment)
        own = [scratch((length, *array.shape[1:]), dtype) for length in (segment + 1, count) for array in first]
        memory = Work(*own, *(scratch((n,), dtype) for _ in range(2)))

        def run(group: int) -> None:
            mine = Sums(*(each[group] for each in sums))
            retreat(group * GROUP, min(batch, (group + 1) * GROUP), tape.form, p, r, *first, g, mine, memory)

        return run

    share(work, groups)
    return g, sums
