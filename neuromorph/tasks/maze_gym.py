"""The maze as a Gymnasium environment of one episode at a time (`pip install neuromorph[tasks]`)."""

from typing import Any

import gymnasium
import numpy as np
import torch

from neuromorph.tasks.maze import Maze, MazeConfig


class MazeEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Observations [15] as `Maze`'s inputs, actions 0 to 3. `info`: row and column of the agent ("place") and of the reward ("goal").

    The episode terminates after `config.steps` steps. Episodes come from the seed given to `reset`, by numpy's generator.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, config: MazeConfig = MazeConfig()) -> None:
        self.config = config
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (Maze.n_in,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(Maze.n_actions)
        self.episode: Maze | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        generator = torch.Generator().manual_seed(int(self.np_random.integers(2**62)))
        self.episode = Maze(self.config, 1, generator)
        return self.episode.inputs[0].numpy(), self._info(self.episode)

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.episode is None:
            raise gymnasium.error.ResetNeeded("MazeEnv: call reset before step.")
        x, reward = self.episode.step(torch.tensor([int(action)]))
        return x[0].numpy(), float(reward), self.episode.done, False, self._info(self.episode)

    def _info(self, episode: Maze) -> dict[str, Any]:
        places = episode.grid.places
        return {"place": tuple(places[episode.place[0]].tolist()), "goal": tuple(places[episode.goal[0]].tolist())}
