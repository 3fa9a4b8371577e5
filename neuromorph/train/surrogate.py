"""Spike functions: `(v, theta) -> z`, exact step forwards, surrogate derivative backwards."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import torch
from norse.torch.functional.threshold import threshold
from torch import Tensor

from neuromorph.errors import TrainingError

SpikeFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
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


class _Gaussians(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, theta: Tensor, psi: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(v, theta)
        ctx.psi = psi
        return (v > theta).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        v, theta = ctx.saved_tensors
        grad = grads[0] * ctx.psi(v - theta)
        return grad.sum_to_size(v.shape), -grad.sum_to_size(theta.shape), None


@dataclass(frozen=True)
class MultiGaussian:
    """psi = dz/dv = -dz/dtheta = gamma ((1 + h) N(x; 0, sigma) - h N(x; sigma, s sigma) - h N(x; -sigma, s sigma)), x = v - theta.

    N(x; mu, sigma): the normal density; h `height`, s `scale`. Yin, Corradi and Bohte 2021 (Nat. Mach. Intell. 3, the
    multi-Gaussian surrogate), whose values are the defaults. x is in units of v: sigma = 0.5 is wide against a threshold of 0.01.

    Raises:
        TrainingError: gamma, sigma or scale is not positive, or height is negative.
    """

    gamma: float = 0.5
    sigma: float = 0.5
    scale: float = 6.0
    height: float = 0.15

    def __post_init__(self) -> None:
        if not (self.gamma > 0 and self.sigma > 0 and self.scale > 0 and self.height >= 0):
            raise TrainingError(f"Surrogate 'multi_gaussian': {self}; gamma, sigma and scale must be positive, height 0 or more.")

    def __call__(self, v: Tensor, theta: Tensor) -> Tensor:
        spikes: Tensor = _Gaussians.apply(v, theta, self.derivative)  # pyright: ignore[reportAssignmentType]
        return spikes

    def derivative(self, x: Tensor) -> Tensor:
        """psi at x = v - theta."""
        wide = self.scale * self.sigma
        sides = _normal(x, self.sigma, wide) + _normal(x, -self.sigma, wide)
        return self.gamma * ((1 + self.height) * _normal(x, 0.0, self.sigma) - self.height * sides)


def _normal(x: Tensor, mean: float, deviation: float) -> Tensor:
    return torch.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))


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
    """A spike function by name: "bellec", "multi_gaussian" or Norse's "super", "triangle", "tanh", "circ", "heavi_erfc".

    Options are `gamma` of "bellec", `gamma`, `sigma`, `scale`, `height` of "multi_gaussian", and `alpha` of Norse's, except
    "super", whose `alpha` Norse 1.1.0 ignores.

    Raises:
        TrainingError: the name is unknown, takes no such option, or the option's value is out of range.
    """
    takes = {"bellec": ("gamma",), "multi_gaussian": tuple(field.name for field in fields(MultiGaussian))}
    takes |= {norse: () if alpha is None else ("alpha",) for norse, alpha in NORSE_ALPHA.items()}
    if name not in takes:
        raise TrainingError(f"Surrogate {name!r} is unknown; allowed: {', '.join(takes)}.")
    if surplus := options.keys() - set(takes[name]):
        raise TrainingError(
            f"Surrogate {name!r}: option {', '.join(sorted(surplus))} is unknown; it takes {', '.join(takes[name]) or 'none'}."
        )
    if name == "bellec":
        return bellec(**options)
    if name == "multi_gaussian":
        return MultiGaussian(**options)
    return NorseSurrogate(name, options.get("alpha", NORSE_ALPHA[name] or 0.0))
