"""Functions to learn from examples within an episode (Bellec et al. 2018, section "Learning-to-learn LSNNs", and its supplement).

Every episode has a function of its own. A step of it shows x, and the value of the function at the x before; the answer is its value now.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.tasks.population_code import PopulationCode, poisson


class Examples(NamedTuple):
    """Points `x` [K, B, n_in] and the values `y` [K, B] there, K examples of B episodes."""

    x: Float[Tensor, "examples batch n_in"]
    y: Float[Tensor, "examples batch"]


@runtime_checkable
class Family(Protocol):
    """Functions from points of `n_in` numbers within -`x_most` ... `x_most` to numbers that seldom leave -`y_most` ... `y_most`.

    `deviation`: standard deviation of the values over functions and points.
    """

    @property
    def n_in(self) -> int: ...
    @property
    def x_most(self) -> float: ...
    @property
    def y_most(self) -> float: ...
    @property
    def deviation(self) -> float: ...

    def draw(self, batch: int, examples: int, generator: torch.Generator) -> Examples:
        """A function for each episode, at uniform points."""
        ...


@dataclass(frozen=True)
class TeacherNetworks:
    """y = w2 . sigmoid(W1 x + b1) + b2, all weights and biases uniform in -1 ... 1, x too."""

    n_in: int = 2
    hidden: int = 10
    x_most: float = 1.0
    y_most: float = 4.0
    deviation: float = 1.1

    def draw(self, batch: int, examples: int, generator: torch.Generator) -> Examples:
        x = uniform((examples, batch, self.n_in), self.x_most, generator)
        w1, b1 = uniform((batch, self.hidden, self.n_in), 1.0, generator), uniform((batch, self.hidden), 1.0, generator)
        w2, b2 = uniform((batch, self.hidden), 1.0, generator), uniform((batch,), 1.0, generator)
        return Examples(x, teach(x, w1, b1, w2, b2))


@dataclass(frozen=True)
class Sinusoids:
    """y = amplitude sin(x + phase): amplitude uniform in `amplitudes`, phase in 0 ... pi, x in -5 ... 5."""

    amplitudes: tuple[float, float] = (0.1, 5.0)
    n_in: int = 1
    x_most: float = 5.0
    y_most: float = 5.0
    deviation: float = 2.0

    def draw(self, batch: int, examples: int, generator: torch.Generator) -> Examples:
        low, high = self.amplitudes
        amplitude = low + (high - low) * torch.rand(batch, generator=generator)
        phase = math.pi * torch.rand(batch, generator=generator)
        x = uniform((examples, batch, 1), self.x_most, generator)
        return Examples(x, amplitude * torch.sin(x[..., 0] + phase))


FAMILIES: dict[str, Family] = {"teachers": TeacherNetworks(), "sinusoids": Sinusoids()}


def uniform(shape: tuple[int, ...], most: float, generator: torch.Generator) -> Tensor:
    """Between -most and most."""
    return most * (2 * torch.rand(shape, generator=generator) - 1)


def teach(
    x: Float[Tensor, "examples batch n_in"],
    w1: Float[Tensor, "batch hidden n_in"],
    b1: Float[Tensor, "batch hidden"],
    w2: Float[Tensor, "batch hidden"],
    b2: Float[Tensor, " batch"],
) -> Float[Tensor, "examples batch"]:
    """What a network of one hidden layer in each episode says."""
    return torch.einsum("ebh,bh->eb", torch.sigmoid(torch.einsum("ebi,bhi->ebh", x, w1) + b1), w2) + b2


@dataclass(frozen=True)
class EpisodeConfig:
    """`examples` of `steps` steps of `dt` [s] each, every number as the spikes of `neurons` neurons of a tuning width that is the share
    `width` of the number's range. The value of the example before comes last; in the first example its neurons are silent.

    Raises:
        TrainingError: a count or time is not positive.
    """

    examples: int = 50
    steps: int = 10
    dt: float = 1e-3
    neurons: int = 100
    width: float = 0.02
    rate_hz: float = 200.0

    def __post_init__(self) -> None:
        if min(self.examples, self.steps) < 1 or not self.dt > 0:
            raise TrainingError(f"{self}: examples, steps and dt must be positive.")

    def channels(self, family: Family) -> int:
        """Input neurons."""
        return self.neurons * (family.n_in + 1)

    def code(self, most: float) -> PopulationCode:
        """Of numbers in -most ... most."""
        return PopulationCode(self.neurons, -most, most, 2 * most * self.width, self.rate_hz)

    def spikes(self, family: Family, shown: Examples, generator: torch.Generator) -> Bool[Tensor, "time batch channels"]:
        """The episodes as a network sees them, [examples * steps, B, channels]."""
        points = self.code(family.x_most).rates(shown.x).flatten(2)
        before = self.code(family.y_most).rates(shown.y[:-1])
        before = torch.cat([torch.zeros(1, *before.shape[1:]), before])
        return poisson(torch.cat([points, before], -1), self.steps, self.dt, generator)
