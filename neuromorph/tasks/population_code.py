"""Numbers as spikes: Gaussian tuning curves and Poisson spikes (Bellec et al. 2018, supplement on learning-to-learn)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuromorph.errors import TrainingError

LEVELS = 2**15
"""A probability is rounded down to a multiple of 1 / LEVELS: random 16-bit numbers cost a quarter of random floats."""


@dataclass(frozen=True)
class PopulationCode:
    """Rates of `n` neurons for a number z: rate_hz exp(-(m_i - z)^2 / (2 width^2)), the m_i evenly spaced from `low` to `high`.

    `width` in units of z.

    Raises:
        TrainingError: fewer than two neurons, an empty range, or a width or rate that is not positive.
    """

    n: int
    low: float
    high: float
    width: float
    rate_hz: float = 200.0

    def __post_init__(self) -> None:
        if self.n < 2 or not self.low < self.high or not (self.width > 0 and self.rate_hz > 0):
            raise TrainingError(f"{self}: needs two neurons or more, low < high, and a positive width and rate.")

    def rates(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape n"]:
        """Of each neuron [Hz]."""
        centres = torch.linspace(self.low, self.high, self.n, dtype=z.dtype)
        return self.rate_hz * torch.exp((centres - z.unsqueeze(-1)).square() / (-2 * self.width**2))


def poisson(
    rates: Float[Tensor, "blocks batch n"], steps: int, dt: float, generator: torch.Generator
) -> Bool[Tensor, "blocks*{steps} batch n"]:
    """Spikes of `steps` steps of `dt` [s] at each of the rates [Hz], with probability rate * dt each.

    Raises:
        TrainingError: a rate of more than one spike a step.
    """
    levels = (rates * (dt * LEVELS)).to(torch.int32)
    if int(levels.max()) > LEVELS:
        raise TrainingError(f"poisson: {float(rates.max()):g} Hz is more than one spike in a step of {dt:g} s; lower the rate.")
    blocks, batch, n = rates.shape
    drawn = torch.empty(blocks, steps, batch, n, dtype=torch.int16).random_(generator=generator)
    return (drawn < levels.clamp(max=LEVELS - 1).to(torch.int16).unsqueeze(1)).flatten(0, 1)
