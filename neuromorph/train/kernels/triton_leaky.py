"""The leaky readout on a GPU, in Triton: its integrators over all steps in one call."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from neuromorph.train.kernels.triton_jit import compiled
from neuromorph.train.readout import LeakyReadout

LANES = 128
"""Integrators of a program."""


@compiled
def _scan(currents, trace, decay_v, decay_u, gain, bias, steps, plane, n, LANES: tl.constexpr):
    """u = decay_u u + I,  y = decay_v y + gain u + bias: `trace` from `currents` [steps, batch, n], plane = batch n."""
    place = tl.program_id(0) * LANES + tl.arange(0, LANES)
    inside, o = place < plane, place % n
    decay_v, decay_u = tl.load(decay_v + o), tl.load(decay_u + o)
    gain, bias = tl.load(gain + o), tl.load(bias + o)
    y = tl.zeros((LANES,), currents.dtype.element_ty)
    u = y
    plane = tl.cast(plane, tl.int64)
    for t in range(steps):
        u = decay_u * u + tl.load(currents + t * plane + place, mask=inside, other=0)
        y = decay_v * y + gain * u + bias
        tl.store(trace + t * plane + place, y, mask=inside)


class _Leaky(torch.autograd.Function):
    """Without its bias the scan is a filter that does not change over time: its transpose is itself, from the last step on."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, *constants: Tensor) -> Tensor:
        ctx.constants = constants
        return _run(currents, *constants)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *filters, bias = ctx.constants
        return _run(grads[0].flip(0), *filters, torch.zeros_like(bias)).flip(0), *[None] * 4


def _run(currents: Tensor, *constants: Tensor) -> Tensor:
    currents, (steps, batch, n) = currents.contiguous(), currents.shape
    trace = torch.empty_like(currents)
    with torch.cuda.device_of(currents):
        _scan[(triton.cdiv(batch * n, LANES),)](currents, trace, *constants, steps, batch * n, n, LANES=LANES)
    return trace


def integrate(readout: LeakyReadout, sent: Tensor) -> Tensor:
    """`readout.integrate` from silence: traces [steps, batch, n_out] from what is sent in each step and arrives in the next.

    Differentiable in `sent` alone: the constants of a readout are fixed.
    """
    arrived = torch.cat([torch.zeros_like(sent[:1]), sent[:-1]])
    trace: Tensor = _Leaky.apply(arrived, readout.decay_v, readout.decay_u, readout.gain, readout.bias)  # pyright: ignore[reportAssignmentType]
    return trace
