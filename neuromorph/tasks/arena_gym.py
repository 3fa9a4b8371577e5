"""The arena as a Gymnasium environment of one episode at a time (`pip install neuromorph[tasks]`)."""

from typing import Any

import gymnasium
import numpy as np
import torch

from neuromorph.tasks.arena import Arena, ArenaConfig


class ArenaEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observations [3] as `Arena`'s inputs, actions [2]: velocities in units of `config.speed`. `info["goal"]`: where the goal is.

    The episode terminates after `config.steps` steps. Episodes come from the seed given to `reset`, by numpy's generator.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, config: ArenaConfig = ArenaConfig()) -> None:
        self.config = config
        low, high = (np.array([*places, reward], np.float32) for *places, reward in ((-1, -1, -config.penalty), (1, 1, 1)))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (Arena.n_actions,), np.float32)
        self.episode: Arena | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        generator = torch.Generator().manual_seed(int(self.np_random.integers(2**62)))
        self.episode = Arena(self.config, 1, generator)
        return self._seen(self.episode.inputs), self._info(self.episode)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.episode is None:
            raise gymnasium.error.ResetNeeded("ArenaEnv: call reset before step.")
        x, reward = self.episode.step(torch.as_tensor(np.asarray(action, np.float32)).unsqueeze(0))
        return self._seen(x), float(reward), self.episode.done, False, self._info(self.episode)

    def _seen(self, x: torch.Tensor) -> np.ndarray:
        """Rounding may put a place on the border just outside of it."""
        return np.clip(x[0].numpy(), self.observation_space.low, self.observation_space.high)  # pyright: ignore[reportAttributeAccessIssue]

    def _info(self, episode: Arena) -> dict[str, Any]:
        return {"goal": tuple(episode.goal[0].tolist())}
