"""The LSNN neuron (Bellec 2018) in PyTorch: its state and one step.

The step is that of `neuromorph/backends/reference.py`, line for line; what differs is only that gradients flow.
"""

from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from neuromorph.errors import TrainingError
from neuromorph.train.constants import Active, Form, LSNNConstants, StepConstants
from neuromorph.train.delays import by_delay, longest, send


class LSNNState(NamedTuple):
    """State after a step, [batch, n] all but `later`: what the next step starts from.

    `refractory`: steps left without spikes. `drive`: summed weights of spikes that arrive at the next step (line 1).
    `later` [batch, longest delay - 1, n]: those that arrive 2, 3, ... steps from now; empty where all delays are 1.
    """

    z: Tensor
    v: Tensor
    u: Tensor
    a: Tensor
    theta: Tensor
    refractory: Tensor
    drive: Tensor
    later: Tensor


def silence(batch: tuple[int, ...], p: LSNNConstants, longest_delay: int = 1) -> LSNNState:
    """The state before the first step: everything zero, thresholds at `v_th`."""
    zero = torch.zeros(*batch, p.n, dtype=p.v_th.dtype, device=p.v_th.device)
    return LSNNState(zero, zero, zero, zero, p.v_th.expand_as(zero), zero, zero, zero.new_zeros(*batch, longest_delay - 1, p.n))


def fire(s: LSNNState, c: StepConstants, on: Active, form: Form) -> LSNNState:
    """Lines 2-6 of the step, from the drive that arrives; `drive` and `later` of the new state are still the old ones.

    u = decay_u u + I;  a = decay_a a + kappa z;  theta = v_th + a;  v = decay_v v + gain u + bias - z theta (Bellec 2018
    eq. 1);  z = v > theta and not refractory. Differentiable throughout; a spike blocked by refractoriness has gradient zero.
    """
    u = torch.addcmul(s.drive, s.u, c.decay_u) if on.current else s.drive
    a, theta = s.a, s.theta
    if on.adaptation:
        a = torch.addcmul(c.decay_a * s.a, s.z, c.kappa)
        theta = c.v_th + a if form.adaptation == "threshold" else s.theta
    if form.reset == "subtract":
        v = torch.addcmul(c.decay_v * s.v, u, c.gain)
        v = torch.addcmul(v, s.z, s.theta, value=-1)
    else:
        v = torch.addcmul(c.decay_v * torch.lerp(s.v, c.v_reset, s.z), u, c.gain)
    if on.bias:
        v = v + c.bias
    if on.adaptation and form.adaptation == "current":
        v = v - a
    z = form.surrogate(v, theta)
    refractory = s.refractory
    if on.refractory:
        z = z * (s.refractory <= 0)
        refractory = torch.maximum(s.refractory - 1, c.n_ref * z.detach())
    return s._replace(z=z, v=v, u=u, a=a, theta=theta, refractory=refractory)


def post(s: LSNNState, *sent: Float[Tensor, "*batch _ n"]) -> LSNNState:
    """Line 1 of the steps to come: one step has passed, and what was sent in it joins what is on its way."""
    room = s.later.shape[-2] + 1
    parts = [part for part in (s.later, *sent) if part.shape[-2]]
    waiting = reduce(torch.add, [part if part.shape[-2] == room else pad(part, (0, 0, 0, room - part.shape[-2])) for part in parts])
    return s._replace(drive=waiting[..., 0, :], later=waiting[..., 1:, :])


def lsnn_step(
    input_spikes: Float[Tensor, "*batch n_in"],
    state: LSNNState,
    input_weights: Float[Tensor, "n n_in"],
    recurrent_weights: Float[Tensor, "n n"],
    p: LSNNConstants,
    dt: float = 1e-3,
    *,
    input_delays: Int[Tensor, "n n_in"] | None = None,
    recurrent_delays: Int[Tensor, "n n"] | None = None,
) -> tuple[Float[Tensor, "*batch n"], LSNNState]:
    """One step with Norse's signature; input and spikes of this step arrive after their delay (at the next step without one).

    `dt` is not used: the constants are per step already.
    """
    check_state(state, max(longest(input_delays), longest(recurrent_delays)))
    c = p.values()
    state = fire(state, c, c.active(), p.form)
    return state.z, post(
        state, send(input_spikes, by_delay(input_weights, input_delays)), send(state.z, by_delay(recurrent_weights, recurrent_delays))
    )


def check_state(state: LSNNState, longest_delay: int) -> None:
    """Whether the state has room for the spikes on their way, no more, no less."""
    if (room := state.later.shape[-2] + 1) != longest_delay:
        raise TrainingError(f"LSNN: the state has room for delays up to {room}, the layer needs {longest_delay}; start from its own state.")
