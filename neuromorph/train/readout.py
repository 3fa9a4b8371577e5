"""The leaky readout: integrators that never spike, with their weights."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from neuromorph.train.constants import Constant, per_neuron
from neuromorph.train.layers import weight_matrix


class ReadoutState(NamedTuple):
    """State of the readout, all [batch, n_out]; `drive` arrives at the next step."""

    y: Tensor
    u: Tensor
    drive: Tensor


class LeakyReadout(nn.Module):
    """Leaky integrators with their weights [n_out, n]: u = decay_u u + I,  y = decay_v y + gain u + bias,  I[t] = W z[t-1].

    Constants are buffers [n_out]; `gain` defaults to 1 - decay_v. Weights are given or drawn from `generator` as
    N(0, 1) / sqrt(n). Works in `norse.torch.SequentialState`.
    """

    decay_v: Tensor
    decay_u: Tensor
    gain: Tensor
    bias: Tensor

    def __init__(
        self,
        n: int,
        n_out: int,
        *,
        decay_v: Constant,
        decay_u: Constant = 0.0,
        gain: Constant | None = None,
        bias: Constant = 0.0,
        generator: torch.Generator | None = None,
        weights: nn.Parameter | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        gain = 1 - np.asarray(decay_v, dtype=np.float64) if gain is None else gain
        for name, value in {"decay_v": decay_v, "decay_u": decay_u, "gain": gain, "bias": bias}.items():
            self.register_buffer(name, per_neuron(name, value, n_out, dtype))
        self.weights = weight_matrix("LeakyReadout", weights, (n_out, n), generator, dtype)

    def forward(
        self, z: Float[Tensor, "time batch n"], state: ReadoutState | None = None
    ) -> tuple[Float[Tensor, "time batch n_out"], ReadoutState]:
        """Readout traces y and the last state."""
        return self.integrate(linear(z, self.weights), state)

    def integrate(
        self, drives: Float[Tensor, "time batch n_out"], state: ReadoutState | None = None
    ) -> tuple[Float[Tensor, "time batch n_out"], ReadoutState]:
        """The same from the weighted spikes of each step, which arrive one step later."""
        y, u, arriving = ReadoutState(*[torch.zeros_like(drives[0])] * 3) if state is None else state
        current, trace = bool(self.decay_u.any()), []
        for drive in drives.unbind(0):
            u = torch.addcmul(arriving, u, self.decay_u) if current else arriving
            y = torch.addcmul(torch.addcmul(self.bias, y, self.decay_v), u, self.gain)
            trace.append(y)
            arriving = drive
        return torch.stack(trace), ReadoutState(y, u, arriving)
