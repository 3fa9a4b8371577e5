"""The maze task of Backpropamine (Miconi et al. 2019, section 4.2), many episodes side by side.

A square grid inside walls, with a pillar on every cell of even row and even column except the centre, where the agent starts. One cell
holds a reward that nothing shows. An agent that enters it is rewarded and put on another cell at random; the reward stays for the
episode. So the agent should search once and then return, again and again, from wherever it is.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from neuromorph.errors import TrainingError

DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Rows and columns that each action goes: up, down, left, right."""
AROUND = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))


@dataclass(frozen=True)
class MazeConfig:
    """`side`: cells from wall to wall, both included; `steps` of an episode."""

    side: int = 7
    steps: int = 60

    def __post_init__(self) -> None:
        if self.side < 5 or self.side % 2 == 0 or self.steps < 1:
            raise TrainingError(f"{self}: side must be odd and at least 5, so that there is a centre; steps at least 1.")


PAPER = MazeConfig(side=11, steps=200)
"""The paper's: 9 by 9 cells with 16 pillars, 200 steps."""


class Grid(NamedTuple):
    """The free cells, numbered row by row: `places` [cells, 2] their row and column; `walls` [cells, 9]: 1 where a neighbour (or, in the
    middle, the cell itself) is wall; `moves` [cells, 4]: the cell that each action leads to, the same one where a wall is in the way.
    """

    places: Int[Tensor, "cells 2"]
    walls: Float[Tensor, "cells 9"]
    moves: Int[Tensor, "cells 4"]
    centre: int


@lru_cache
def grid(side: int) -> Grid:
    """The maze of that side."""
    middle, free = side // 2, torch.zeros(side, side, dtype=torch.bool)
    free[1:-1, 1:-1] = True
    free[2:-1:2, 2:-1:2] = False
    free[middle, middle] = True
    places = free.nonzero()
    number = torch.full((side, side), -1)
    number[places[:, 0], places[:, 1]] = torch.arange(len(places))

    def beside(offsets: tuple[tuple[int, int], ...]) -> Tensor:
        """Numbers of the cells at those offsets [cells, offsets], -1 for walls."""
        rows, columns = (places.unsqueeze(1) + torch.tensor(offsets)).unbind(-1)
        return number[rows, columns]

    there, here = beside(DIRECTIONS), torch.arange(len(places)).unsqueeze(1)
    return Grid(places, (beside(AROUND) < 0).float(), torch.where(there < 0, here, there), int(number[middle, middle]))


class Maze:
    """`batch` episodes at once: `reset`, then `step` with an action (0 to 3, see `DIRECTIONS`) each until `done`.

    `place` and `goal`: cells of the agents and of the rewards; `inputs`: walls on the 3 by 3 cells around the agent, time as a share of the
    episode, the last reward (1 or 0), the last action one-hot.
    """

    n_actions, n_in = 4, 15

    def __init__(self, config: MazeConfig, batch: int, generator: torch.Generator) -> None:
        self.config, self.batch, self.generator = config, batch, generator
        self.steps, self.grid = config.steps, grid(config.side)
        self.reset()

    def reset(self) -> Float[Tensor, "batch 15"]:
        """Draw new goals; the inputs of the first step."""
        centre = torch.full((self.batch,), self.grid.centre)
        self.goal, self.place, self.now = self._elsewhere(centre), centre, 0
        self.inputs = self._seen(torch.zeros(self.batch), torch.zeros(self.batch, self.n_actions))
        return self.inputs

    def _elsewhere(self, cell: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
        """A random free cell other than the given one, each."""
        drawn = torch.randint(0, len(self.grid.places) - 1, (self.batch,), generator=self.generator)
        return drawn + (drawn >= cell)

    def _seen(self, reward: Float[Tensor, "batch"], action: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch 15"]:
        time = torch.full((self.batch, 1), self.now / self.steps)
        return torch.cat([self.grid.walls[self.place], time, reward.unsqueeze(1), action], 1)

    @property
    def done(self) -> bool:
        return self.now == self.steps

    @property
    def deciding(self) -> Bool[Tensor, "batch"]:
        """Every action counts until the episodes are over."""
        return torch.full((self.batch,), not self.done)

    def step(self, action: Int[Tensor, "batch"]) -> tuple[Float[Tensor, "batch 15"], Float[Tensor, "batch"]]:
        """The inputs of the next step and the rewards of this one.

        Raises:
            TrainingError: the episodes are over.
        """
        if self.done:
            raise TrainingError("Maze: the episodes are over; reset first.")
        self.now += 1
        entered = self.grid.moves[self.place, action]
        hit = entered == self.goal
        self.place = torch.where(hit, self._elsewhere(self.goal), entered)
        self.inputs = self._seen(hit.float(), one_hot(action, self.n_actions).float())
        return self.inputs, hit.float()


def distances(side: int) -> Int[Tensor, "cells cells"]:
    """Fewest steps from each cell to each other."""
    moves = grid(side).moves
    far = torch.full((len(moves), len(moves)), len(moves)).fill_diagonal_(0)
    for _ in moves:
        far = torch.minimum(far, 1 + far[moves].amin(1))
    return far


def rewards_of_chance(config: MazeConfig) -> float:
    """Rewards an episode that actions at random earn, exact: values of the Markov chain for each goal, from the last step to the first."""
    moves, centre = grid(config.side).moves, grid(config.side).centre
    cells = len(moves)
    enters = moves.unsqueeze(2) == torch.arange(cells)  # [cell, action, goal]
    value = torch.zeros(cells, cells, dtype=torch.float64)  # [cell, goal]
    for _ in range(config.steps):
        after = 1 + (value.sum(0) - value.diagonal()) / (cells - 1)
        value = torch.where(enters, after, value[moves]).mean(1)
    return float((value[centre].sum() - value[centre, centre]) / (cells - 1))


def rewards_of_knowing(config: MazeConfig) -> float:
    """Rewards an episode of an agent that always knows where it and the reward are, exact: no agent can earn more."""
    far, centre = distances(config.side), grid(config.side).centre
    cells = len(far)
    left = torch.zeros(config.steps + 1, cells, dtype=torch.float64)  # [steps left, goal], from another cell at random
    goals = torch.arange(cells)

    def earned(steps: int, far: Tensor) -> Tensor:
        """From cells so far from each goal."""
        later = left[(steps - far).clamp(min=0), goals]
        return torch.where(far <= steps, 1 + later, 0.0)

    for steps in range(1, config.steps + 1):
        of = earned(steps, far)
        left[steps] = (of.sum(0) - of.diagonal()) / (cells - 1)
    of = earned(config.steps, far[centre])
    return float((of.sum() - of[centre]) / (cells - 1))
