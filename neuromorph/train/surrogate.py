"""Spike functions: `(v, theta) -> z`, exact step forwards, surrogate derivative backwards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from norse.torch.functional.threshold import threshold
from torch import Tensor

from neuromorph.errors import TrainingError

type SpikeFunction = Callable[[Tensor, Tensor], Tensor]
"""Membrane potential `v` and threshold `theta` [batch, n] to spikes 0 or 1 [batch, n]: 1 where v > theta (strict)."""

NORSE_ALPHA: dict[str, float | None] = {"super": None, "triangle": 0.3, "tanh": 100.0, "circ": 100.0, "heavi_erfc": 100.0}
"""Norse's surrogates by name with their default `alpha`; None: takes none."""


class _Triangle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, theta: Tensor, gamma: float) -> Tensor:
        ctx.save_for_backward(v, theta)
        ctx.gamma = gamma
        return (v > theta).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        v, theta = ctx.saved_tensors
        ratio = v / theta
        grad_v = grads[0] * (1 - (ratio - 1).abs_()).clamp_min_(0).mul_(ctx.gamma).div_(theta)
        grad_theta = (ratio.neg_() * grad_v).sum_to_size(theta.shape) if ctx.needs_input_grad[1] else None
        return grad_v.sum_to_size(v.shape), grad_theta, None


@dataclass(frozen=True)
class Bellec:
    """psi = dz/dv = (gamma / theta) max(0, 1 - |v - theta| / theta) and dz/dtheta = -psi v / theta.

    The derivative of gamma max(0, 1 - |x|) at the normalised potential x = (v - theta) / theta, Bellec et al. 2018
    (arXiv 1803.09574), section "Deep learning with LSNNs". `theta` must be positive.
    """

    gamma: float = 0.3

    def __call__(self, v: Tensor, theta: Tensor) -> Tensor:
        spikes: Tensor = _Triangle.apply(v, theta, self.gamma)  # pyright: ignore[reportAssignmentType]
        return spikes


@dataclass(frozen=True)
class NorseSurrogate:
    """One of Norse's surrogates, applied to v - theta (in units of v) as Norse's own neurons do."""

    name: str
    alpha: float

    def __call__(self, v: Tensor, theta: Tensor) -> Tensor:
        return threshold(v - theta, self.name, self.alpha)


def bellec(gamma: float = 0.3) -> SpikeFunction:
    """The LSNN's damped triangle, see `Bellec`.

    Raises:
        TrainingError: `gamma` is not positive.
    """
    if not gamma > 0:
        raise TrainingError(f"Surrogate 'bellec': gamma is {gamma}; give a positive damping factor (0.3 in Bellec 2018).")
    return Bellec(gamma)


def by_name(name: str, **options: float) -> SpikeFunction:
    """A spike function by name: "bellec" (option `gamma`) or Norse's "super", "triangle", "tanh", "circ", "heavi_erfc".

    Norse's take the option `alpha`, except "super", whose `alpha` Norse 1.1.0 ignores.

    Raises:
        TrainingError: the name is unknown, or takes no such option.
    """
    if name != "bellec" and name not in NORSE_ALPHA:
        raise TrainingError(f"Surrogate {name!r} is unknown; allowed: bellec, {', '.join(NORSE_ALPHA)}.")
    allowed = "gamma" if name == "bellec" else None if NORSE_ALPHA[name] is None else "alpha"
    if surplus := set(options) - {allowed}:
        raise TrainingError(f"Surrogate {name!r}: option {', '.join(sorted(surplus))} is unknown; it takes {allowed or 'none'}.")
    if name == "bellec":
        return bellec(**options)
    return NorseSurrogate(name, options.get("alpha", NORSE_ALPHA[name] or 0.0))
