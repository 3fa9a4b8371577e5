"""Advantage actor-critic (A2C) for recurrent networks, whole episodes at once, from a state from which a run goes on with the same bits.

Every element of the batch has its own value as its baseline. (The published code of Backpropamine subtracts the value of the
first element from the returns of all.)
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax, logsigmoid, pad

from neuromorph.errors import TrainingError
from neuromorph.train.plastic import Episode, PlasticCore
from neuromorph.train.resumable import learn


@runtime_checkable
class Environment(Protocol):
    """`batch` episodes of `steps` steps with inputs [B, n_in] and actions 0 ... n_actions - 1, which count where `deciding`."""

    batch: int
    steps: int
    n_in: int
    n_actions: int

    def reset(self) -> Tensor: ...

    @property
    def deciding(self) -> Tensor: ...

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class ActorCriticConfig:
    """`updates` of Adam (`lr`, `eps`), one a batch of episodes, with gradients cut to the norm `clip_norm`.

    The loss is the mean over decisions of  -(R - V) log pi(action)  + value (R - V)^2 / 2  - entropy H(pi).  Rewards that come
    later count `discount` times for every "decision" or "step" in between: 0 credits a decision with its own reward alone.
    """

    updates: int = 3000
    lr: float = 1e-3
    eps: float = 1e-8
    clip_norm: float = 2.0
    entropy: float = 0.03
    value: float = 0.5
    discount: float = 0.0
    discount_per: str = "decision"
    record_every: int = 50
    save_every: int = 250

    def __post_init__(self) -> None:
        if min(self.updates, self.record_every, self.save_every) < 1 or not (self.lr > 0 and self.clip_norm > 0):
            raise TrainingError(f"{self}: counts, lr and clip_norm must be positive.")
        if not 0 <= self.discount <= 1 or self.discount_per not in ("decision", "step"):
            raise TrainingError(f"{self}: discount must be from 0 to 1, per 'decision' or 'step'.")


class ActorCritic(nn.Module):
    """A plastic `core` with two linear readouts: a policy (one logit for two actions, Bernoulli; else categorical) and a value."""

    def __init__(self, core: PlasticCore, n_actions: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.core, self.n_actions = core, n_actions
        self.n_logits = 1 if n_actions == 2 else n_actions
        like = core.recurrent_weights
        drawn = torch.randn(self.n_logits + 1, core.n, generator=generator, dtype=like.dtype)
        self.weights = nn.Parameter(drawn * 0.1 / math.sqrt(core.n))
        self.bias = nn.Parameter(torch.zeros(self.n_logits + 1, dtype=like.dtype))

    def read(self, h: Float[Tensor, "*time batch n"]) -> tuple[Float[Tensor, "*time batch logits"], Float[Tensor, "*time batch"]]:
        """Logits and value."""
        y = linear(h, self.weights, self.bias)
        return y[..., :-1], y[..., -1]


class Rollout(NamedTuple):
    """A batch of episodes: logits [T, B, k], values [T, B], actions (0 where they did not count), rewards and `deciding` [T, B]."""

    logits: Tensor
    values: Tensor
    actions: Int[Tensor, "time batch"]
    rewards: Float[Tensor, "time batch"]
    deciding: Bool[Tensor, "time batch"]


def rollout(model: ActorCritic, env: Environment, generator: torch.Generator, *, greedy: bool = False) -> Rollout:
    """Episodes with sampled or, `greedy`, most likely actions. Logits and values have gradients where autograd is on."""
    x = env.reset()
    episode = Episode(model.core, env.steps, model.core.initial_state(env.batch))
    actions, rewards, deciding = [], [], []
    for _ in range(env.steps):
        h = episode.step(x)
        now = env.deciding
        action = torch.zeros(env.batch, dtype=torch.int64)
        if bool(now.any()):
            with torch.no_grad():
                action = choose(model.read(h)[0], generator, greedy=greedy) * now
        x, reward = env.step(action)
        for kept, value in zip((actions, rewards, deciding), (action, reward, now)):
            kept.append(value)
    logits, values = model.read(episode.finish()[0])
    return Rollout(logits, values, *(torch.stack(each) for each in (actions, rewards, deciding)))


def choose(logits: Float[Tensor, "batch k"], generator: torch.Generator, *, greedy: bool) -> Int[Tensor, "batch"]:
    """An action each."""
    if logits.shape[-1] == 1:
        p = torch.sigmoid(logits[:, 0])
        return (p > 0.5 if greedy else torch.rand(p.shape, generator=generator, dtype=p.dtype) < p).long()
    return logits.argmax(-1) if greedy else torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


def log_policy(logits: Float[Tensor, "*time batch k"]) -> Float[Tensor, "*time batch actions"]:
    """Log-probabilities of all actions."""
    if logits.shape[-1] == 1:
        return torch.cat([logsigmoid(-logits), logsigmoid(logits)], -1)
    return log_softmax(logits, -1)


def returns(rewards: Tensor, deciding: Tensor, discount: float, per: str) -> Float[Tensor, "time batch"]:
    """R_t = r_t + g R_{t+1}, g = `discount` on every step, or where a decision is made and 1 elsewhere."""
    total, found = torch.zeros_like(rewards[0]), []
    for reward, decision in zip(rewards.flip(0), deciding.flip(0)):
        total = reward + (discount * total if per == "step" else torch.where(decision, discount * total, total))
        found.append(total)
    return torch.stack(found).flip(0)


def a2c_loss(r: Rollout, config: ActorCriticConfig) -> Float[Tensor, ""]:
    """The loss of `ActorCriticConfig`."""
    R = returns(r.rewards, r.deciding, config.discount, config.discount_per).to(r.values)
    log_p = log_policy(r.logits)
    taken = log_p.gather(-1, r.actions.unsqueeze(-1)).squeeze(-1)
    advantage = R - r.values
    entropy = -(log_p.exp() * log_p).sum(-1)
    each = -advantage.detach() * taken + 0.5 * config.value * advantage.square() - config.entropy * entropy
    return (each * r.deciding).sum() / r.deciding.sum().clamp(min=1)


class Sums:
    """Rewards and their number by the number of the decision in its episode, `totals` [2, decisions]."""

    def __init__(self) -> None:
        self.totals = torch.zeros(2, 0, dtype=torch.float64)

    def add(self, r: Rollout) -> None:
        number = r.deciding.cumsum(0)[r.deciding] - 1
        more = max(0, int(number.max()) + 1 - self.totals.shape[1]) if len(number) else 0
        rewards = r.rewards[r.deciding].double()
        self.totals = pad(self.totals, (0, more)).index_add(1, number, torch.stack([rewards, torch.ones_like(rewards)]))

    def means(self) -> list[float]:
        return (self.totals[0] / self.totals[1]).tolist()


class Learner:
    """A model in training. `history`: a dict each `record_every` updates: update, rewards by decision, gradient norm, eta, CPU seconds."""

    def __init__(self, model: ActorCritic, env: Environment, config: ActorCriticConfig, generator: torch.Generator) -> None:
        self.model, self.env, self.config, self.generator = model, env, config, generator
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, eps=config.eps)
        self.update, self.history, self.sums, self.norm = 0, [], Sums(), 0.0
        self.before, self.start = 0.0, time.process_time()

    @property
    def cpu_seconds(self) -> float:
        """Of all sittings."""
        return self.before + time.process_time() - self.start

    def learn(self) -> None:
        """One update.

        Raises:
            TrainingError: a gradient is no longer finite.
        """
        played = rollout(self.model, self.env, self.generator)
        self.optimizer.zero_grad()
        a2c_loss(played, self.config).backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm))
        if not math.isfinite(norm):
            raise TrainingError(f"Update {self.update + 1}: the gradient is no longer finite; lower lr (now {self.config.lr}).")
        self.optimizer.step()
        self.model.core.constrain()
        self.update += 1
        self.norm += norm
        self.sums.add(played)
        if self.update % self.config.record_every == 0 or self.update == self.config.updates:
            self._record()

    def _record(self) -> None:
        eta = self.model.core.eta
        told = {"rewards": self.sums.means(), "norm": self.norm / self.config.record_every, "cpu_s": self.cpu_seconds}
        self.history.append({"update": self.update, **told, "eta": None if eta is None else float(eta.detach().mean())})
        self.sums, self.norm = Sums(), 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "update": self.update,
            "history": self.history,
            "sums": self.sums.totals,
            "norm": self.norm,
            "cpu_s": self.cpu_seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.update, self.history, self.norm = state["update"], list(state["history"]), state["norm"]
        self.sums.totals = state["sums"]
        self.before, self.start = state["cpu_s"], time.process_time()


def train(
    model: ActorCritic,
    make_env: Callable[[torch.Generator], Environment],
    config: ActorCriticConfig,
    *,
    seed: int = 0,
    folder: Path | None = None,
    progress: bool = True,
) -> Learner:
    """Train `model` in place. `seed`: of a generator that draws episodes (given to `make_env`) and actions.

    With `folder`, made where missing, the state is saved there every `save_every` updates and at the end, atomically; a call
    that finds one goes on with it, and ends with the same bits as a run that never stopped. SIGINT and SIGTERM end the run
    after the update at work, with its state saved.

    Raises:
        TrainingError: a gradient is no longer finite, or the folder's run is another one.
        TrainingInterrupted: a signal came.
    """
    generator = torch.Generator().manual_seed(seed)
    learner = Learner(model, make_env(generator), config, generator)
    same = {name: value for name, value in asdict(config).items() if name != "updates"}
    about = {"config": same, "plasticity": asdict(model.core.plasticity), "seed": seed}
    learn(learner, config.updates, about=about, folder=folder, save_every=config.save_every, progress=progress)
    return learner
