"""A circular arena with a hidden goal on its border (Bellec et al. 2018, section on meta-reinforcement learning), many episodes at once.

The goal keeps its place throughout an episode. Who reaches it is rewarded and put to a random place, so that remembering the goal pays.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.tasks.population_code import PopulationCode, poisson


@dataclass(frozen=True)
class ArenaConfig:
    """`steps` an episode in an arena of radius 1, each of a distance up to `speed`; the goal is reached within `goal_radius` of it.

    `penalty`: for a move out of the arena, which ends on its border.

    Raises:
        TrainingError: a number is out of range.
    """

    steps: int = 100
    speed: float = 0.2
    goal_radius: float = 0.3
    penalty: float = 0.02

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.speed > 0 or not 0 < self.goal_radius < 1 or self.penalty < 0:
            raise TrainingError(f"{self}: needs a step, a positive speed, a goal_radius between 0 and 1, and a penalty of 0 or more.")


class Arena:
    """`batch` episodes at once: `reset`, then `step` with an action each until `done`.

    `inputs` [B, 3]: place and the reward of the step before. Actions [B, 2]: velocities in units of `speed`, cut to the norm 1.
    `place`, `goal` [B, 2]: where agents and goals are; `reached` [B]: who reached the goal in the step before; `arrived` [B, 2]: where
    moves ended, before those who had reached it were put elsewhere.
    """

    n_in, n_actions = 3, 2

    def __init__(self, config: ArenaConfig, batch: int, generator: torch.Generator) -> None:
        self.config, self.batch, self.generator = config, batch, generator
        self.steps = config.steps
        self.reset()

    def reset(self) -> Float[Tensor, "batch 3"]:
        """Draw new goals and places; the inputs of the first step."""
        angle = 2 * math.pi * torch.rand(self.batch, generator=self.generator)
        self.goal = torch.stack([angle.cos(), angle.sin()], 1)
        self.place = self.arrived = self._anywhere()
        self.reached = torch.zeros(self.batch, dtype=torch.bool)
        self.now = 0
        self.inputs = torch.cat([self.place, torch.zeros(self.batch, 1)], 1)
        return self.inputs

    @property
    def done(self) -> bool:
        return self.now == self.steps

    def step(self, action: Float[Tensor, "batch 2"]) -> tuple[Float[Tensor, "batch 3"], Float[Tensor, " batch"]]:
        """The inputs of the next step and the rewards of this one: 1 at the goal, less `penalty` for a move out of the arena.

        Raises:
            TrainingError: the episodes are over.
        """
        if self.done:
            raise TrainingError("Arena: the episodes are over; reset first.")
        place = self.place + self.config.speed * within(action)
        outside = place.norm(dim=1) > 1
        self.arrived = within(place)
        self.reached = (self.arrived - self.goal).norm(dim=1) < self.config.goal_radius
        self.place = torch.where(self.reached.unsqueeze(1), self._anywhere(), self.arrived)
        self.now += 1
        reward = self.reached.float() - self.config.penalty * outside
        self.inputs = torch.cat([self.place, reward.unsqueeze(1)], 1)
        return self.inputs, reward

    def _anywhere(self) -> Float[Tensor, "batch 2"]:
        """Uniform in the disc."""
        radius, turn = torch.rand(2, self.batch, generator=self.generator)
        angle = 2 * math.pi * turn
        return radius.sqrt().unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], 1)


def within(v: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]:
    """Vectors cut to the norm 1."""
    return v / v.norm(dim=1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class ArenaCode:
    """An arena's inputs as spikes, each for `steps` steps of `dt` [s]: x and y by `place` each, a reward or a penalty by `reward` neurons
    that fire at the same rate.

    The paper's tuning curves, exp(-100 (m - z)^2), are those of width 1 / sqrt(200).
    """

    steps: int = 5
    dt: float = 1e-3
    place: PopulationCode = field(default_factory=lambda: PopulationCode(40, -1.0, 1.0, 200**-0.5, 500.0))
    reward: int = 10

    @property
    def channels(self) -> int:
        return 2 * (self.place.n + self.reward)

    def spikes(self, x: Float[Tensor, "batch 3"], generator: torch.Generator) -> Bool[Tensor, "steps batch channels"]:
        signs = torch.stack([x[:, 2] > 0, x[:, 2] < 0], 1).float() * self.place.rate_hz
        rates = torch.cat([self.place.rates(x[:, :2]).flatten(1), signs.repeat_interleave(self.reward, 1)], 1)
        return poisson(rates.unsqueeze(0), self.steps, self.dt, generator)


class SpikingArena:
    """An arena that is seen as spikes; see `ppo.SpikingEnvironment`. `blind`: without those of rewards and penalties."""

    n_actions = Arena.n_actions

    def __init__(self, config: ArenaConfig, code: ArenaCode, batch: int, generator: torch.Generator, *, blind: bool = False) -> None:
        self.arena, self.code, self.generator, self.blind = Arena(config, batch, generator), code, generator, blind
        self.batch, self.steps, self.n_in = batch, config.steps, code.channels

    def reset(self) -> Bool[Tensor, "steps batch channels"]:
        return self._seen(self.arena.reset())

    def step(self, action: Float[Tensor, "batch 2"]) -> tuple[Bool[Tensor, "steps batch channels"], Float[Tensor, " batch"]]:
        x, reward = self.arena.step(action)
        return self._seen(x), reward

    def _seen(self, x: Float[Tensor, "batch 3"]) -> Bool[Tensor, "steps batch channels"]:
        return self.code.spikes(x * torch.tensor([1.0, 1.0, 0.0]) if self.blind else x, self.generator)


class Visits(NamedTuple):
    """`goals`: visits to the goal an episode. `first`: mean steps to the first, episodes without any counting whole; `later`: mean steps
    from a visit to the next, that is steps after first visits by the visits in them. `by_step` [steps]: share of episodes that visit in it.
    """

    goals: float
    first: float
    later: float
    by_step: list[float]


def visits(reached: Bool[Tensor, "steps batch"]) -> Visits:
    """From who reached the goal in each step. `later` is the whole episode where nobody comes twice."""
    steps, found = len(reached), reached.any(0)
    first = torch.where(found, reached.float().argmax(0) + 1, steps)
    again = int(reached.sum() - found.sum())
    later = float((steps - first[found]).sum()) / again if again else float(steps)
    return Visits(float(reached.sum(0).float().mean()), float(first.float().mean()), later, reached.float().mean(1).tolist())


def search_and_return(arena: Arena) -> Callable[[], Float[Tensor, "batch 2"]]:
    """An agent without noise to hold others against: round on the border until it is rewarded, later straight back to that place.

    Gives what it does next, for an arena that was just reset.
    """
    ahead = 2 * math.asin(min(1.0, arena.config.speed / 2))
    known, where = torch.zeros(arena.batch, dtype=torch.bool), torch.zeros(arena.batch, 2)

    def act() -> Float[Tensor, "batch 2"]:
        nonlocal known, where
        where = torch.where((arena.reached & ~known).unsqueeze(1), arena.arrived, where)
        known = known | arena.reached
        angle = torch.atan2(arena.place[:, 1], arena.place[:, 0]) + ahead
        search = torch.stack([angle.cos(), angle.sin()], 1)
        return (torch.where(known.unsqueeze(1), where, search) - arena.place) / arena.config.speed

    return act
