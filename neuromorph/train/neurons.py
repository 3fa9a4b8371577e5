"""The LSNN neuron (Bellec 2018) in PyTorch: constants, state, one step.

The step is that of `neuromorph/backends/reference.py`, line for line; what differs is only that gradients flow.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import linear

from neuromorph.errors import TrainingError
from neuromorph.graph import ALIF, LIF
from neuromorph.graph.populations import ADAPTATIONS, RESETS, Adaptation, Reset
from neuromorph.train.surrogate import SpikeFunction, bellec

type Constant = int | float | ArrayLike
"""One number, or one a neuron [n]."""


class Active(NamedTuple):
    """Which terms of the step are not exactly zero."""

    current: bool
    bias: bool
    adaptation: bool
    refractory: bool


class LSNNConstants(nn.Module):
    """Per-step constants of `n` neurons as buffers [n], which follow `.to()` and `state_dict()`; none is trained.

    `decay_v`, `decay_u`, `decay_a` in [0, 1); `gain` (default 1 - decay_v), `bias`, `v_th`, `v_reset`, `kappa` in units
    of v; `n_ref` in steps. `reset`: "subtract" or "to_value"; `adaptation`: "threshold" or "current"; `surrogate`: spike function.

    Raises:
        TrainingError: an unknown form, a threshold that is not positive, arrays that do not have one value a neuron.
    """

    decay_v: Tensor
    decay_u: Tensor
    gain: Tensor
    bias: Tensor
    v_th: Tensor
    v_reset: Tensor
    n_ref: Tensor
    decay_a: Tensor
    kappa: Tensor

    def __init__(
        self,
        n: int,
        *,
        decay_v: Constant,
        v_th: Constant,
        decay_u: Constant = 0.0,
        gain: Constant | None = None,
        bias: Constant = 0.0,
        v_reset: Constant = 0.0,
        n_ref: Constant = 0,
        decay_a: Constant = 0.0,
        kappa: Constant = 0.0,
        reset: Reset = "subtract",
        adaptation: Adaptation = "threshold",
        surrogate: SpikeFunction | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if reset not in RESETS or adaptation not in ADAPTATIONS:
            raise TrainingError(f"LSNNConstants: {reset=}, {adaptation=}; allowed: {', '.join(RESETS)}; {', '.join(ADAPTATIONS)}.")
        if not np.all(np.asarray(v_th) > 0):
            raise TrainingError(
                f"LSNNConstants: v_th has {np.asarray(v_th).min()}; thresholds must be positive (surrogates divide by them)."
            )
        self.n, self.reset, self.adaptation, self.surrogate = n, reset, adaptation, surrogate or bellec()
        gain = 1 - np.asarray(decay_v, dtype=np.float64) if gain is None else gain
        floats = {"decay_v": decay_v, "decay_u": decay_u, "gain": gain, "bias": bias, "v_th": v_th, "v_reset": v_reset}
        for name, value in {**floats, "decay_a": decay_a, "kappa": kappa}.items():
            self.register_buffer(name, per_neuron(name, value, n, dtype))
        self.register_buffer("n_ref", per_neuron("n_ref", n_ref, n, torch.int64))

    @classmethod
    def of(cls, *populations: LIF, surrogate: SpikeFunction | None = None, dtype: torch.dtype = torch.float32) -> "LSNNConstants":
        """The constants of graph populations (LIF, ALIF) one after the other; LIF neurons do not adapt.

        Raises:
            TrainingError: the populations differ in `reset` or `adaptation`.
        """
        resets: set[Reset] = {p.reset for p in populations}
        adaptations: set[Adaptation] = {p.adaptation for p in populations if isinstance(p, ALIF)} or {"threshold"}
        if len(resets) != 1 or len(adaptations) != 1:
            raise TrainingError(
                f"LSNNConstants.of({', '.join(p.name for p in populations)}): resets {sorted(resets)}, adaptations {sorted(adaptations)}; "
                "the neurons of one layer share both forms."
            )
        names = (*LIF.PARAMETERS, "decay_a", "kappa")
        arrays = {name: np.concatenate([getattr(p, name, np.zeros(p.n)) for p in populations]) for name in names}
        n = sum(p.n for p in populations)
        return cls(n, **arrays, reset=resets.pop(), adaptation=adaptations.pop(), surrogate=surrogate, dtype=dtype)

    def active(self) -> Active:
        """Looked up once a sequence, so that the loop skips terms that are exactly zero."""
        return Active(bool(self.decay_u.any()), bool(self.bias.any()), bool(self.kappa.any()), bool(self.n_ref.any()))

    def extra_repr(self) -> str:
        return f"n={self.n}, reset={self.reset!r}, adaptation={self.adaptation!r}, surrogate={self.surrogate}"


class LSNNState(NamedTuple):
    """State after a step, all [batch, n]: what the next step starts from.

    `drive`: summed weights of this step's spikes, which arrive at the next step (line 1). `refractory`: steps left without spikes.
    """

    z: Tensor
    v: Tensor
    u: Tensor
    a: Tensor
    theta: Tensor
    refractory: Tensor
    drive: Tensor


def silence(batch: tuple[int, ...], p: LSNNConstants) -> LSNNState:
    """The state before the first step: everything zero, thresholds at `v_th`."""
    zero = torch.zeros(*batch, p.n, dtype=p.v_th.dtype, device=p.v_th.device)
    return LSNNState(zero, zero, zero, zero, p.v_th.expand_as(zero), zero, zero)


def fire(s: LSNNState, p: LSNNConstants, on: Active) -> LSNNState:
    """Lines 2-6 of the step, from the drive that arrives; the drive of the new state is still the old one.

    u = decay_u u + I;  a = decay_a a + kappa z;  theta = v_th + a;  v = decay_v v + gain u + bias - z theta (Bellec 2018
    eq. 1);  z = v > theta and not refractory. Differentiable throughout; a spike blocked by refractoriness has gradient zero.
    """
    u = torch.addcmul(s.drive, s.u, p.decay_u) if on.current else s.drive
    a, theta = s.a, s.theta
    if on.adaptation:
        a = torch.addcmul(p.decay_a * s.a, s.z, p.kappa)
        theta = p.v_th + a if p.adaptation == "threshold" else s.theta
    if p.reset == "subtract":
        v = torch.addcmul(p.decay_v * s.v, u, p.gain)
        v = torch.addcmul(v, s.z, s.theta, value=-1)
    else:
        v = torch.addcmul(p.decay_v * torch.lerp(s.v, p.v_reset, s.z), u, p.gain)
    if on.bias:
        v = v + p.bias
    if on.adaptation and p.adaptation == "current":
        v = v - a
    z = p.surrogate(v, theta)
    refractory = s.refractory
    if on.refractory:
        z = z * (s.refractory <= 0)
        refractory = torch.maximum(s.refractory - 1, p.n_ref * z.detach())
    return LSNNState(z, v, u, a, theta, refractory, s.drive)


def lsnn_step(
    input_spikes: Float[Tensor, "*batch n_in"],
    state: LSNNState,
    input_weights: Float[Tensor, "n n_in"],
    recurrent_weights: Float[Tensor, "n n"],
    p: LSNNConstants,
    dt: float = 1e-3,
) -> tuple[Float[Tensor, "*batch n"], LSNNState]:
    """One step with Norse's signature; input and spikes of this step arrive at the next (every projection costs one step).

    `dt` is not used: the constants are per step already.
    """
    state = fire(state, p, p.active())
    return state.z, state._replace(drive=linear(input_spikes, input_weights) + linear(state.z, recurrent_weights))


def per_neuron(name: str, value: Constant, n: int, dtype: torch.dtype) -> Tensor:
    """A tensor of one value a neuron [n]."""
    array = np.asarray(value)
    if array.shape not in ((), (n,)):
        raise TrainingError(f"Constant {name} has shape {array.shape}; give one number, or one a neuron ({n},).")
    return torch.as_tensor(np.broadcast_to(array, (n,)).copy()).to(dtype)
