"""The cue-reward task as a Gymnasium environment of one episode at a time (`pip install neuromorph[tasks]`)."""

from typing import Any

import gymnasium
import numpy as np
import torch

from neuromorph.tasks.cue_reward import CueReward, CueRewardConfig


class CueRewardEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Observations [n_in] as `CueReward`'s inputs, actions 0 and 1. `info["deciding"]`: whether the next action counts.

    The episode terminates after `config.steps` steps. Episodes come from the seed given to `reset`, by numpy's generator.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, config: CueRewardConfig = CueRewardConfig()) -> None:
        self.config = config
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (config.n_in,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(CueReward.n_actions)
        self.episode: CueReward | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        generator = torch.Generator().manual_seed(int(self.np_random.integers(2**62)))
        self.episode = CueReward(self.config, 1, generator)
        return self._seen(self.episode, self.episode.script.x[0])

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.episode is None:
            raise gymnasium.error.ResetNeeded("CueRewardEnv: call reset before step.")
        x, reward = self.episode.step(torch.tensor([int(action)]))
        seen, info = self._seen(self.episode, x)
        return seen, float(reward), self.episode.done, False, info

    def _seen(self, episode: CueReward, x: torch.Tensor) -> tuple[np.ndarray, dict[str, Any]]:
        """Observation and info."""
        return x[0].numpy().copy(), {"deciding": bool(episode.deciding)}
