"""A layer of LSNN neurons with its readout on a GPU, a whole sequence in one call, for PyTorch's autograd.

What no spike of the layer decides is PyTorch's: the weighted input before the kernel, and the gradients of the weights after it,
one matrix product a delay. Every sum has a fixed order. The oracle is the loop over `neurons.fire`.
"""

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from neuromorph.train.delays import by_delay, delayed_linear
from neuromorph.train.kernels import triton_neuron
from neuromorph.train.kernels.sequence import CONSTANTS, Result
from neuromorph.train.kernels.triton_leaky import integrate
from neuromorph.train.layers import LSNNRecurrent
from neuromorph.train.losses import mean_readout, overshoots
from neuromorph.train.readout import LeakyReadout


class Form(NamedTuple):
    """Which step the kernels run. `keep`: whether v and a of all steps are wanted, for gradients or for the overshoot."""

    subtract: bool
    by_threshold: bool
    surrogate: int
    psi: tuple[float, ...]
    keep: bool


class _Sequence(torch.autograd.Function):
    """Drives [steps, batch, n], matrices [delay, target, source] and constants [7, n] to traces of z, v and a [steps, batch, n]."""

    @staticmethod
    def forward(
        ctx: Any, form: Form, drives: Tensor, matrices: Tensor, constants: Tensor, v_reset: Tensor, n_ref: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        drives, (steps, batch, n), delays = drives.contiguous(), drives.shape, len(matrices)
        constant_gradients = form.keep and ctx.needs_input_grad[3]
        history = drives.new_zeros(delays + steps, batch, n)
        v, a = (drives.new_empty(steps if form.keep else 0, batch, n) for _ in range(2))
        u = drives.new_empty(steps if constant_gradients else 0, batch, n)
        free = torch.empty_like(v, dtype=torch.int8)
        blocks = _blocks(drives, delays)
        with torch.cuda.device_of(drives):
            triton_neuron.forward[_programs(drives, blocks)](
                drives, matrices.mT.contiguous(), constants, v_reset, n_ref, history, free, v, a, u, *_sizes(drives),
                form.subtract, form.by_threshold, form.keep, constant_gradients, **blocks,
            )  # fmt: skip
        z = history[delays:]
        ctx.form, ctx.delays = form, delays
        ctx.save_for_backward(matrices, constants, v_reset, z, free, v, a, u)
        return z, v, a

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        matrices, constants, v_reset, z, free, v, a, u = ctx.saved_tensors
        form, delays, (steps, batch, n) = ctx.form, ctx.delays, z.shape
        needs = ctx.needs_input_grad
        states = any(grad is not None for grad in grads[1:])
        z_grad, v_grad, a_grad = (torch.zeros_like(z) if grad is None else grad.contiguous() for grad in grads)
        arrived = z.new_zeros(steps + delays, batch, n)
        blocks = _blocks(z, delays)
        sums = z.new_empty(*_programs(z, blocks), len(constants), n)
        with torch.cuda.device_of(z):
            triton_neuron.backward[_programs(z, blocks)](
                matrices.contiguous(), constants, v_reset, z.new_tensor(form.psi), z, free, v, a, u, z_grad, v_grad, a_grad, arrived, sums,
                *_sizes(z), form.subtract, form.by_threshold, states, needs[3], form.surrogate, **blocks,
            )  # fmt: skip
        of_matrices = torch.stack([_weights(arrived[d:steps], z[: max(steps - d, 0)]) for d in range(1, delays + 1)]) if needs[2] else None
        return None, arrived[1 : steps + 1] if needs[1] else None, of_matrices, sums.sum(0) if needs[3] else None, None, None


def _weights(arrived: Tensor, sent: Tensor) -> Tensor:
    """Gradient [target, source] of the weights over which `sent` became the drives whose gradient is `arrived`."""
    return arrived.flatten(0, 1).T @ sent.flatten(0, 1)


def _programs(trace: Tensor, blocks: dict[str, int]) -> tuple[int]:
    return (triton.cdiv(trace.shape[1], blocks["TILE"]),)


def _sizes(trace: Tensor) -> tuple[int, int, int, int]:
    steps, batch, n = trace.shape
    return steps, batch, n, batch * n


def _blocks(trace: Tensor, delays: int) -> dict[str, int]:
    """Sizes for which the state of a program fits its registers: up to 16 samples, and sources that a product takes at once."""
    width = max(16, triton.next_power_of_2(trace.shape[2]))
    tile = max(1, min(16, 16384 // (width * trace.element_size())))
    block = min(32, max(8, 2048 // width))
    return {"TILE": tile, "WIDTH": width, "BLOCK": block, "DELAYS": delays, "num_warps": 4 if width <= 64 else 8, "num_stages": 1}


def run(
    layer: LSNNRecurrent,
    form: Form,
    x: Tensor,
    *,
    readout: LeakyReadout | None,
    readout_delays: Tensor | None,
    window: int | None,
    overshoot: bool,
    live_gradients: bool,
) -> Result:
    """The layer from silence, and the readout of its spikes if given; see `Result` and `compiled.run_layer`."""
    weights = [layer.input_weights, layer.recurrent_weights]
    if live_gradients:
        weights = [w * (w != 0) for w in weights]
    c = layer.p.values()
    drives = delayed_linear(x.to(weights[0]), weights[0], layer.input_delays)
    constants = torch.stack([getattr(c, name) for name in CONSTANTS])
    z, v, a = _Sequence.apply(form, drives, by_delay(weights[1], layer.recurrent_delays), constants, c.v_reset, c.n_ref)  # pyright: ignore[reportGeneralTypeIssues]
    rates = z.mean((0, 1))
    outside = overshoots(v, c.v_th + a if form.by_threshold else c.v_th.expand_as(v)) if overshoot else torch.zeros_like(rates)
    if readout is None:
        return Result(None, z, rates, outside)
    y = integrate(readout, delayed_linear(z, readout.weights, readout_delays))
    return Result(y if window is None else mean_readout(y, window), z, rates, outside)
