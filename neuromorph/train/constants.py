"""The constants of LSNN neurons: fixed, or following from time constants that are trained."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.graph import ALIF, LIF
from neuromorph.graph.populations import ADAPTATIONS, RESETS, Adaptation, Reset
from neuromorph.train.surrogate import SpikeFunction, bellec
from neuromorph.train.time_constants import BoundedTimes

Constant: TypeAlias = int | float | ArrayLike
"""One number, or one a neuron [n]."""

Exact: TypeAlias = np.ndarray
"""One float64 a neuron."""


class Active(NamedTuple):
    """Which terms of the step are not exactly zero."""

    current: bool
    bias: bool
    adaptation: bool
    refractory: bool


class Form(NamedTuple):
    """How a layer's neurons reset, adapt and spike."""

    reset: Reset
    adaptation: Adaptation
    surrogate: SpikeFunction


class StepConstants(NamedTuple):
    """What one step multiplies by and adds, all [n]: see `LSNNConstants`."""

    decay_v: Tensor
    decay_u: Tensor
    gain: Tensor
    bias: Tensor
    v_th: Tensor
    v_reset: Tensor
    n_ref: Tensor
    decay_a: Tensor
    kappa: Tensor

    def active(self) -> Active:
        """Looked up once a sequence, so that the loop skips terms that are exactly zero."""
        return Active(bool(self.decay_u.any()), bool(self.bias.any()), bool(self.kappa.any()), bool(self.n_ref.any()))


class LSNNConstants(nn.Module):
    """Per-step constants of `n` neurons as buffers [n], which follow `.to()` and `state_dict()`; `values()` are those in use.

    `decay_v`, `decay_u`, `decay_a` in [0, 1); `gain` (default 1 - decay_v), `bias`, `v_th`, `v_reset`, `kappa` in units
    of v; `n_ref` in steps. `reset`: "subtract" or "to_value"; `adaptation`: "threshold" or "current"; `surrogate`: spike function.

    `learned`: bounds (low, high) [s] of the time constants that are trained, by name: "tau_m", and "tau_a" of the neurons
    that adapt. They start at those of decay_v and decay_a for steps of `dt` [s], whose buffers keep the start;
    gain = 1 - decay_v and kappa = beta (1 - decay_a) follow, beta stays as it is.

    Raises:
        TrainingError: an unknown form, a threshold that is not positive, arrays that do not have one value a neuron, a
            time constant that is unknown or starts outside its bounds.
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
    reset: Reset
    adaptation: Adaptation
    adapting: Tensor
    beta: Tensor
    tau_m: BoundedTimes | None
    tau_a: BoundedTimes | None

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
        learned: Mapping[str, tuple[float, float]] | None = None,
        dt: float = 1e-3,
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
        self._learn(dict(learned or {}), exact(decay_v, n), exact(decay_a, n), exact(kappa, n), dt)

    def _learn(self, bounds: dict[str, tuple[float, float]], decay_v: Exact, decay_a: Exact, kappa: Exact, dt: float) -> None:
        if unknown := bounds.keys() - {"tau_m", "tau_a"}:
            raise TrainingError(f"LSNNConstants: learned {', '.join(sorted(unknown))} is unknown; allowed: tau_m, tau_a.")
        self.tau_m = self.tau_a = None
        dtype = self.decay_v.dtype
        if "tau_m" in bounds:
            self.tau_m = BoundedTimes("tau_m", time_constant(decay_v, dt), bounds["tau_m"], dt=dt, dtype=dtype)
        if "tau_a" in bounds:
            adapting = np.flatnonzero(kappa)
            if not len(adapting):
                raise TrainingError("LSNNConstants: tau_a cannot be learned where no neuron adapts; leave it out of learned.")
            self.tau_a = BoundedTimes("tau_a", time_constant(decay_a[adapting], dt), bounds["tau_a"], dt=dt, dtype=dtype)
            self.register_buffer("adapting", torch.as_tensor(adapting))
            self.register_buffer("beta", torch.as_tensor(kappa[adapting] / (1 - decay_a[adapting])).to(dtype))

    @classmethod
    def of(
        cls,
        *populations: LIF,
        surrogate: SpikeFunction | None = None,
        learned: Mapping[str, tuple[float, float]] | None = None,
        dt: float = 1e-3,
        dtype: torch.dtype = torch.float32,
    ) -> "LSNNConstants":
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
        forms = {"reset": resets.pop(), "adaptation": adaptations.pop(), "surrogate": surrogate}
        return cls(n, **arrays, **forms, learned=learned, dt=dt, dtype=dtype)

    @property
    def form(self) -> Form:
        return Form(self.reset, self.adaptation, self.surrogate)

    def values(self) -> StepConstants:
        """The constants in use now: the buffers, and what follows from learned time constants (differentiable)."""
        c = StepConstants(*(getattr(self, name) for name in StepConstants._fields))
        if self.tau_m is not None:
            c = c._replace(decay_v=self.tau_m.decay(), gain=self.tau_m.rise())
        if self.tau_a is not None:
            decay_a = c.decay_a.index_copy(0, self.adapting, self.tau_a.decay())
            kappa = c.kappa.index_copy(0, self.adapting, self.beta * self.tau_a.rise())
            c = c._replace(decay_a=decay_a, kappa=kappa)
        return c

    def time_constants(self) -> dict[str, nn.Parameter]:
        """The raw parameters of the learned time constants, by name (see `BoundedTimes`)."""
        return {name: times.raw for name, times in (("tau_m", self.tau_m), ("tau_a", self.tau_a)) if times is not None}

    def extra_repr(self) -> str:
        return f"n={self.n}, reset={self.reset!r}, adaptation={self.adaptation!r}, surrogate={self.surrogate}"


def time_constant(decay: Exact, dt: float) -> Exact:
    """tau [s] of a factor per step exp(-dt / tau); 0 for a factor of 0."""
    with np.errstate(divide="ignore"):
        return -dt / np.log(decay)


def exact(value: Constant, n: int) -> Exact:
    """One value a neuron in float64."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (n,))


def per_neuron(name: str, value: Constant, n: int, dtype: torch.dtype) -> Tensor:
    """A tensor of one value a neuron [n]."""
    array = np.asarray(value)
    if array.shape not in ((), (n,)):
        raise TrainingError(f"Constant {name} has shape {array.shape}; give one number, or one a neuron ({n},).")
    return torch.as_tensor(np.broadcast_to(array, (n,)).copy()).to(dtype)
