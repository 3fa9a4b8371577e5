"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) of spiking networks that act, whole episodes at once.

Acting goes step by step without gradients; gradients come from the recorded input spikes, run through the network once more. As in Bellec
et al. 2018 a normal policy, whose means and deviations are readouts, and a penalty on firing rates.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.train.network import LSNN
from neuromorph.train.resumable import learn
from neuromorph.train.stepping import Stepper


@runtime_checkable
class SpikingEnvironment(Protocol):
    """`batch` episodes of `steps` steps, each seen as spikes of some steps of the network [S, B, n_in]; actions [B, n_actions]."""

    batch: int
    steps: int
    n_in: int
    n_actions: int

    def reset(self) -> Tensor: ...

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Agent(Protocol):
    """A spiking network in an episode: from the spikes of its next steps [S, B, n_in] to its readouts there [S, B, n_out]."""

    def run(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class PPOConfig:
    """`updates`, each on new episodes: `epochs` steps of Adam on the whole of them, gradients cut to the norm `clip_norm`.

    Hidden weights learn at `lr`, the readout at `lr_readout`, both falling evenly to nothing. The loss is the mean over steps of
    -min(q A, clip(q, 1 - clip, 1 + clip) A) + value (R - V)^2 / 2 - entropy H(pi), q the ratio of the policy to the one that acted; plus
    rate times the mean squared distance of rates from `rate_hz`. Advantages A: by GAE (`discount`, `trace`), normalised over the batch.

    Raises:
        TrainingError: a number is out of range.
    """

    updates: int = 3000
    epochs: int = 4
    lr: float = 1e-3
    lr_readout: float = 3e-3
    clip_norm: float = 1.0
    clip: float = 0.2
    value: float = 0.5
    entropy: float = 0.0
    discount: float = 0.95
    trace: float = 0.95
    rate: float = 5.0
    rate_hz: float = 20.0
    record_every: int = 50
    save_every: int = 100

    def __post_init__(self) -> None:
        if min(self.updates, self.epochs, self.record_every, self.save_every) < 1:
            raise TrainingError(f"{self}: counts must be positive.")
        if not (min(self.lr, self.lr_readout, self.clip_norm) > 0 and 0 < self.clip < 1):
            raise TrainingError(f"{self}: rates and clip_norm must be positive, clip between 0 and 1.")
        if not (0 <= self.discount <= 1 and 0 <= self.trace <= 1):
            raise TrainingError(f"{self}: discount and trace must be from 0 to 1.")


class Policy(NamedTuple):
    """Normal policies, independent in each number of an action: `mean` and `std` [..., n_actions]; `value` [...]: of the state."""

    mean: Tensor
    std: Tensor
    value: Tensor

    def log_p(self, action: Float[Tensor, "*shape n_actions"]) -> Float[Tensor, "*shape"]:
        """Log-density."""
        z = (action - self.mean) / self.std
        return -(0.5 * z.square() + self.std.log() + 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Float[Tensor, "*shape"]:
        """Of each [nat]."""
        return (self.std.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def draw(self, generator: torch.Generator) -> Float[Tensor, "*shape n_actions"]:
        return self.mean + self.std * torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)


LEAST_STD = 0.05
"""Added to a deviation, so that no action becomes infinitely likely."""


def policy(y: Float[Tensor, "*shape readouts"]) -> Policy:
    """Readouts: of each number of an action its mean (by tanh), then of each its deviation (by the logistic function), then the value."""
    n = y.shape[-1] // 2
    return Policy(torch.tanh(y[..., :n]), LEAST_STD + torch.sigmoid(y[..., n : 2 * n]), y[..., -1])


class Episodes(NamedTuple):
    """What was seen, `spikes` [steps * S, B, n_in]; `actions` [steps, B, n_actions], their log-densities, rewards and values [steps, B]."""

    spikes: Bool[Tensor, "time batch n_in"]
    actions: Float[Tensor, "steps batch n_actions"]
    log_p: Float[Tensor, "steps batch"]
    rewards: Float[Tensor, "steps batch"]
    values: Float[Tensor, "steps batch"]


def act(agent: Agent, env: SpikingEnvironment, generator: torch.Generator, watch: Callable[[], None] = lambda: None) -> Episodes:
    """Episodes with sampled actions of an agent from silence, each from the readout at the last step of what was seen. `watch` is called
    after every action.
    """
    seen = env.reset()
    kept: list[list[Tensor]] = [[], [], [], [], []]
    for _ in range(env.steps):
        found = policy(agent.run(seen)[-1])
        action = found.draw(generator)
        after, reward = env.step(action)
        watch()
        for each, value in zip(kept, (seen, action, found.log_p(action), reward, found.value)):
            each.append(value)
        seen = after
    return Episodes(torch.cat(kept[0]), *(torch.stack(each) for each in kept[1:]))


def replay(model: LSNN, played: Episodes) -> tuple[Policy, Float[Tensor, " n"]]:
    """The policies on all steps [steps, B], differentiable, and rates."""
    frames = model.frames(played.spikes)
    return policy(frames.y.unflatten(0, (len(played.actions), -1))[:, -1]), frames.rates


def advantages(
    rewards: Float[Tensor, "steps batch"], values: Float[Tensor, "steps batch"], discount: float, trace: float
) -> Float[Tensor, "steps batch"]:
    """Generalised advantage estimates (Schulman et al. 2015, arXiv 1506.02438, eq. 16); nothing comes after the last step."""
    after, total, found = torch.zeros_like(values[0]), torch.zeros_like(values[0]), list[Tensor]()
    for reward, value in zip(rewards.flip(0), values.flip(0)):
        total = reward + discount * after - value + discount * trace * total
        found.append(total)
        after = value
    return torch.stack(found).flip(0)


def ppo_loss(model: LSNN, played: Episodes, config: PPOConfig) -> Float[Tensor, ""]:
    """The loss of `PPOConfig`."""
    A = advantages(played.rewards.to(played.values), played.values, config.discount, config.trace)
    returns = A + played.values
    A = (A - A.mean()) / (A.std() + 1e-6)
    now, rates = replay(model, played)
    ratio = (now.log_p(played.actions) - played.log_p).exp()
    gain = torch.minimum(ratio * A, ratio.clamp(1 - config.clip, 1 + config.clip) * A)
    each = -gain + 0.5 * config.value * (returns - now.value).square() - config.entropy * now.entropy()
    return each.mean() + config.rate * (rates - config.rate_hz * model.dt).square().mean()


class PPO:
    """A network in training, see `resumable.Learner`.

    `history`: every `record_every` updates and at the end: update, `rewards` an episode since the entry before, mean deviation and rate
    [Hz] now, CPU seconds of all sittings.
    """

    def __init__(self, model: LSNN, env: SpikingEnvironment, config: PPOConfig, generator: torch.Generator) -> None:
        if model.n_out != 2 * env.n_actions + 1:
            raise TrainingError(
                f"PPO: the network has {model.n_out} readouts; {env.n_actions} numbers an action need {2 * env.n_actions + 1}."
            )
        self.model, self.env, self.config, self.generator = model, env, config, generator
        weights = model.weights()
        self.rates = [config.lr, config.lr_readout]
        groups = [[w for name, w in weights.items() if name != "readout"], [weights["readout"]]]
        self.optimizer = torch.optim.Adam([{"params": group, "lr": lr} for group, lr in zip(groups, self.rates)])
        self.update, self.history, self.rewards = 0, list[dict[str, Any]](), list[float]()
        self.before, self.start = 0.0, time.process_time()

    def learn(self) -> None:
        """One update.

        Raises:
            TrainingError: a gradient is no longer finite.
        """
        for group, lr in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = lr * (1 - self.update / self.config.updates)
        played = act(Stepper(self.model, self.env.batch), self.env, self.generator)
        for _ in range(self.config.epochs):
            self.optimizer.zero_grad()
            ppo_loss(self.model, played, self.config).backward()
            norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm))
            if not math.isfinite(norm):
                raise TrainingError(f"Update {self.update + 1}: the gradient is no longer finite; lower lr (now {self.config.lr}).")
            self.optimizer.step()
        self.update += 1
        self.rewards.append(float(played.rewards.sum(0).mean()))
        if self.update % self.config.record_every == 0 or self.update == self.config.updates:
            self._record(played)

    def _record(self, played: Episodes) -> None:
        with torch.no_grad():
            now, rates = replay(self.model, played)
        told = {"std": float(now.std.mean()), "rate_hz": float(rates.mean()) / self.model.dt, "cpu_s": self.cpu_seconds}
        self.history.append({"update": self.update, "rewards": sum(self.rewards) / len(self.rewards), **told})
        self.rewards = []

    @property
    def cpu_seconds(self) -> float:
        """Of all sittings."""
        return self.before + time.process_time() - self.start

    def state_dict(self) -> dict[str, Any]:
        made = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state()}
        return {**made, "update": self.update, "history": self.history, "rewards": self.rewards, "cpu_s": self.cpu_seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.update, self.history, self.rewards = state["update"], list(state["history"]), list(state["rewards"])
        self.before, self.start = state["cpu_s"], time.process_time()


def train(
    model: LSNN,
    make_env: Callable[[torch.Generator], SpikingEnvironment],
    config: PPOConfig,
    *,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    progress: bool = True,
) -> PPO:
    """Train `model` in place. `seed`: of a generator that draws episodes (given to `make_env`) and actions; `about`: of the task.

    A run that was stopped goes on from its last save in `folder`, see `resumable.learn`.

    Raises:
        TrainingError: a gradient is no longer finite, the readouts do not fit the actions, or the folder's run is another one.
        TrainingInterrupted: a signal came.
    """
    generator = torch.Generator().manual_seed(seed)
    learner = PPO(model, make_env(generator), config, generator)
    told = {"config": asdict(config), "network": asdict(model.config), "seed": seed, **(about or {})}
    learn(learner, config.updates, about=told, folder=folder, save_every=config.save_every, progress=progress)
    return learner
