"""Training of LSNNs that learn functions from examples (Bellec et al. 2018): in an episode activity learns, weights do not."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neuromorph.backends.base import Progress
from neuromorph.tasks.teachers import EpisodeConfig, Family
from neuromorph.train.config import OptimizerConfig
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.resumable import learn
from neuromorph.train.supervised import Loss, Supervised

LAST = 10
"""Examples at the end of an episode over which what was learned is judged."""


@dataclass(frozen=True)
class RegressionTraining:
    """`updates` of Adam, each on `batch` fresh episodes, the readout at a rate of its own, both falling by a cosine. The loss is the mean
    squared error in units of the family's variance, plus `rate_weight` times the mean squared distance of rates from `rate_hz`.
    """

    updates: int = 6000
    batch: int = 32
    lr: float = 2e-3
    lr_readout: float = 1e-2
    rate_hz: float = 20.0
    rate_weight: float = 5.0
    save_every: int = 200


def answers(y: Float[Tensor, "time batch 1"], family: Family, episode: EpisodeConfig) -> Float[Tensor, "examples batch"]:
    """What a readout says: its mean over each example, in units of 5 times the family's largest value."""
    return y[..., 0].unflatten(0, (episode.examples, -1)).mean(1) * 5 * family.y_most


class Student:
    """An LSNN on the episodes of a family: its answer to an example is its readout averaged over the example's steps."""

    def __init__(self, family: Family, episode: EpisodeConfig, network: LSNNConfig, *, seed: int) -> None:
        self.family, self.episode = family, episode
        generator = torch.Generator().manual_seed(seed)
        self.model = LSNN(network, episode.channels(family), 1, dt=episode.dt, generator=generator)
        with torch.no_grad():
            self.model.weights()["recurrent"].fill_diagonal_(0)
        self.model.weights()["recurrent"].register_hook(lambda gradient: gradient.clone().fill_diagonal_(0))

    def errors(self, batch: int, generator: torch.Generator) -> tuple[Float[Tensor, "examples batch"], Float[Tensor, " n"]]:
        """Squared errors on episodes drawn anew, and mean spikes a step."""
        shown = self.family.draw(batch, self.episode.examples, generator)
        frames = self.model.frames(self.episode.spikes(self.family, shown, generator))
        return (answers(frames.y, self.family, self.episode) - shown.y).square(), frames.rates

    @torch.no_grad()
    def traces(self, batch: int, generator: torch.Generator) -> tuple[Float[Tensor, "examples batch n"], Float[Tensor, "examples batch"]]:
        """What a linear readout could learn from: spikes filtered with 20 ms, averaged over each example; and the values."""
        shown = self.family.draw(batch, self.episode.examples, generator)
        _, z = self.model(self.episode.spikes(self.family, shown, generator))
        trace, kept = torch.zeros_like(z[0]), list[Tensor]()
        for now in z:
            trace = math.exp(-self.episode.dt / 20e-3) * trace + now
            kept.append(trace)
        return torch.stack(kept).unflatten(0, (self.episode.examples, -1)).mean(1), shown.y

    @torch.no_grad()
    def curve(self, episodes: int) -> Float[Tensor, " examples"]:
        """Mean squared error by example, on fresh episodes, the same for all."""
        generator, size = torch.Generator().manual_seed(77), min(64, episodes)
        return torch.stack([self.errors(size, generator)[0].mean(1) for _ in range(episodes // size)]).mean(0)


def train(
    student: Student,
    training: RegressionTraining,
    *,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    progress: bool | Progress = True,
) -> Supervised:
    """Train in place. A run that was stopped goes on from its last save in `folder`, see `resumable.learn`; `about` tells it from others
    (default: of the student, the training and the seed of the episodes).

    Raises:
        TrainingError: a gradient is no longer finite, or the folder's run is another one.
        TrainingInterrupted: a signal came.
    """
    weights, dt = student.model.weights(), student.episode.dt
    groups = [{"params": [weights["input"], weights["recurrent"]], "base_lr": training.lr}]
    groups.append({"params": [weights["readout"]], "base_lr": training.lr_readout})

    def loss(update: int) -> Loss:
        errors, rates = student.errors(training.batch, torch.Generator().manual_seed(seed * 1_000_003 + update))
        apart = (rates - training.rate_hz * dt).square().mean()
        total = errors.mean() / student.family.deviation**2 + training.rate_weight * apart
        return Loss(total, float(errors[-LAST:].detach().mean()), float(rates.detach().mean()) / dt)

    learner = Supervised(
        student.model,
        torch.optim.Adam(groups),
        OptimizerConfig(lr=training.lr, schedule="cosine", warm_up=50, clip=1.0),
        training.updates,
        loss=loss,
        validate=lambda: float(student.curve(64)[-LAST:].mean()),
        record_every=max(1, training.updates // 40),
    )
    of_student = {"family": repr(student.family), "episode": asdict(student.episode), "network": asdict(student.model.config)}
    told = about or {**of_student, "training": asdict(training), "seed": seed}
    learn(learner, training.updates, about=told, folder=folder, save_every=training.save_every, progress=progress)
    return learner
