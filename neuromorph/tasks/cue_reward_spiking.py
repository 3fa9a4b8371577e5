"""Cue-reward for spiking networks: what the environment shows as spikes, its reward as third factor, and agents that act.

Each step of the environment lasts a block of steps, in which its spikes are the same. The third factor is the reward times the answer that
it was given for, 1 or -1 (both are things that an agent knows), at the last step of the block that shows them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuromorph.backends.base import StepSession
from neuromorph.graph import Graph
from neuromorph.quantize_plastic import quantize_third_factors
from neuromorph.tasks.cue_reward import CueReward, CueRewardConfig
from neuromorph.train.plastic_snn import PlasticSNN, PlasticState
from neuromorph.train.plastic_snn_export import THIRD_FACTOR

GAIN = 2.8
"""Of reward times answer: one pair of spikes raises E by eta, about 0.05 with an eligibility of 20 ms, and so H by 0.14 of its clip."""


OUTCOMES = 4
"""Channels of the pairs of answer and reward."""


def channels(config: CueRewardConfig, *, outcomes: bool = False) -> int:
    """Two a bit of the cue, go, reward two, answers two, and one that always fires; where asked for, the outcomes."""
    return 2 * config.bits + 6 + OUTCOMES * outcomes


def spikes_of(x: Float[Tensor, "batch n_in"], config: CueRewardConfig) -> Float[Tensor, "batch channels"]:
    """The environment's inputs as spikes 0 or 1. Outcomes come last: no and yes rewarded, no and yes punished."""
    bits, reward = x[:, : config.bits], x[:, config.bits + 2 : config.bits + 3]
    go, answers = x[:, config.bits : config.bits + 1], x[:, config.bits + 3 :]
    answered = answers > 0
    outcomes = torch.cat([answered & (reward > 0), answered & (reward < 0)], 1)
    shown = (bits > 0, bits < 0, go > 0, reward > 0, reward < 0, answered, torch.ones_like(go) > 0, outcomes)
    return torch.cat(shown, 1).to(x.dtype)


def third_factor(x: Float[Tensor, "batch n_in"], config: CueRewardConfig) -> Float[Tensor, " batch"]:
    """GAIN times the reward times the answer, 0 where there is none."""
    return GAIN * x[:, config.bits + 2] * (x[:, config.bits + 4] - x[:, config.bits + 3])


class Played(NamedTuple):
    """Of the answers that counted, episode by episode in order: `logits`, `labels` and whether they were `right`, [K, B]."""

    logits: Float[Tensor, "trials batch"]
    labels: Bool[Tensor, "trials batch"]
    right: Bool[Tensor, "trials batch"]


Respond: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From spikes [B, channels with outcomes] and third factors [B] of a step of the environment to the logit of answering yes [B]."""


def play(respond: Respond, env: CueReward, generator: torch.Generator, *, greedy: bool) -> Played:
    """Episodes whose trials all have one length, with sampled or, `greedy`, most likely answers."""
    x, logits, labels, right = env.reset(), list[Tensor](), list[Tensor](), list[Tensor]()
    while not env.done:
        logit = respond(spikes_of(x, env.config), third_factor(x, env.config))
        deciding, label = env.deciding, env.script.label[env.now]
        p = torch.sigmoid(logit.detach())
        answer = p > 0.5 if greedy else torch.rand(p.shape, generator=generator) < p
        if bool(deciding.all()):
            logits.append(logit)
            labels.append(label)
            right.append(answer == label)
        x, _ = env.step(answer.long())
    return Played(torch.stack(logits), torch.stack(labels), torch.stack(right))


def accuracy(
    respond_of: Callable[[int], AbstractContextManager[Respond]], config: CueRewardConfig, episodes: int, *, batch: int, seed: int
) -> list[float]:
    """Share of right greedy answers by trial, over episodes that follow from `seed` and `batch`. `respond_of`: from a number of episodes
    side by side to who answers in them.
    """
    generator, right = torch.Generator().manual_seed(seed), list[Tensor]()
    with torch.no_grad():
        for first in range(0, episodes, batch):
            size = min(batch, episodes - first)
            with respond_of(size) as respond:
                right.append(play(respond, CueReward(config, size, generator), generator, greedy=True).right)
    return torch.cat(right, 1).double().mean(1).tolist()


class Trained:
    """A torch network in an episode, which sees as many channels as it has inputs. `learning`: without it the third factor that is given
    is 0, and nothing is written (a modulator is silenced by its weights).
    """

    def __init__(self, model: PlasticSNN, batch: int, *, learning: bool = True) -> None:
        self.model, self.learning = model, learning
        self.state: PlasticState = model.initial_state(batch)
        self.spikes: list[Tensor] = []

    def __call__(self, spikes: Tensor, third: Tensor) -> Tensor:
        seen = spikes[:, : self.model.n_in].to(self.model.w)
        y, self.state, z = self.model.block(seen, self.state, third.to(self.model.w) if self.learning else None)
        self.spikes.append(z)
        return y[:, 0]


class Deployed:
    """An exported graph, float or integer, on a simulator that goes step by step: it learns from the third factor alone."""

    def __init__(self, graph: Graph, session: StepSession, steps: int, *, learning: bool = True) -> None:
        self.graph, self.session, self.steps, self.learning = graph, session, steps, learning
        session.reset()

    def __call__(self, spikes: Tensor, third: Tensor) -> Tensor:
        (source,), readout = self.graph.inputs, self.graph.readouts[0].name
        name, fired, signal = source.name, spikes[:, : source.n].numpy() > 0, third.numpy().astype(np.float64) * self.learning
        given = {THIRD_FACTOR: signal} if self.graph.third_factors else {}
        if self.graph.precision == "integer":
            given = quantize_third_factors(self.graph, given)
        none = {signal_name: np.zeros_like(value) for signal_name, value in given.items()}
        for _ in range(self.steps - 1):
            self.session.step({name: fired}, none)
        found = self.session.step({name: fired}, given)
        return torch.from_numpy(found.readouts[readout][:, 0].astype(np.float64))
