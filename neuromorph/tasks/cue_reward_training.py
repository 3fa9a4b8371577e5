"""Training of spiking networks on cue-reward, from a state from which a run goes on with the same bits.

The answers are sampled and fed back with their reward; the loss is their cross-entropy, and its gradient flows through the plasticity
that the rewards cause within the episode.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from neuromorph.backends.base import Progress
from neuromorph.tasks.cue_reward import CueReward, CueRewardConfig
from neuromorph.tasks.cue_reward_spiking import Trained, channels, play
from neuromorph.train.plastic_snn import PlasticSNN, PlasticSNNConfig
from neuromorph.train.resumable import learn

TASK = CueRewardConfig(bits=8, cues=4, steps=32, least_blanks=0, most_blanks=0)
"""Four cues of 8 bits drawn anew in every episode, 8 trials of 4 steps."""


@dataclass(frozen=True)
class CueRewardTraining:
    """`updates` of Adam, each on `batch` episodes, the modulator's weights at a rate of their own; `record_every`: updates between two
    entries of the history, each saved.
    """

    updates: int = 2400
    batch: int = 32
    lr: float = 2e-2
    lr_modulator: float = 3e-3
    clip_norm: float = 2.0
    record_every: int = 100


def network(config: PlasticSNNConfig, seed: int, task: CueRewardConfig = TASK) -> PlasticSNN:
    """Inputs of the cue are weaker than those of go, reward and answer; the one that always fires drives all alike; outcomes, which a
    network with a modulator sees, drive none at first.
    """
    n_in, of_bits, always = channels(task, outcomes=config.modulator > 0), 2 * task.bits, channels(task) - 1
    made = PlasticSNN(config, n_in, 1, generator=torch.Generator().manual_seed(seed))
    others = (n_in / 2) ** 0.5
    with torch.no_grad():
        made.w_in[:, :of_bits] *= others / task.bits**0.5
        made.w_in[:, of_bits:always] *= others
        made.w_in[:, always] = 0.5
        made.w_in[:, always + 1 :] = 0.0
    return made


def groups(model: PlasticSNN, training: CueRewardTraining) -> list[dict[str, Any]]:
    """Parameters of Adam with their rates. The modulator's are slow: what it writes before the rest can use it is noise, which an optimiser
    gets rid of by silencing the network.
    """
    slow = [p for name, p in model.named_parameters() if name == "w_mod"]
    rest = [p for name, p in model.named_parameters() if name != "w_mod"]
    return [{"params": rest, "lr": training.lr}, *([{"params": slow, "lr": training.lr_modulator}] if slow else [])]


class CueRewardLearner:
    """A network in training. `history`: update, accuracy by trial (sampled answers), CPU seconds of all sittings."""

    def __init__(self, model: PlasticSNN, training: CueRewardTraining, seed: int, task: CueRewardConfig) -> None:
        self.model, self.training = model, training
        self.generator = torch.Generator().manual_seed(1000 + seed)
        self.optimizer = torch.optim.Adam(groups(model, training))
        self.env = CueReward(task, training.batch, self.generator)
        self.update, self.history, self.right = 0, list[dict[str, Any]](), list[torch.Tensor]()
        self.before, self.start = 0.0, time.process_time()

    def learn(self) -> None:
        """One update."""
        played = play(Trained(self.model, self.training.batch), self.env, self.generator, greedy=False)
        self.optimizer.zero_grad()
        binary_cross_entropy_with_logits(played.logits, played.labels.to(played.logits)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_norm)
        self.optimizer.step()
        self.model.constrain()
        self.update += 1
        self.right.append(played.right.float().mean(1))
        if self.update % self.training.record_every == 0 or self.update == self.training.updates:
            accuracy = torch.stack(self.right).mean(0).tolist()
            self.history.append({"update": self.update, "accuracy": accuracy, "cpu_s": self.cpu_seconds})
            self.right.clear()

    @property
    def cpu_seconds(self) -> float:
        return self.before + time.process_time() - self.start

    def state_dict(self) -> dict[str, Any]:
        made = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state()}
        return {**made, "update": self.update, "history": self.history, "right": self.right, "cpu_s": self.cpu_seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.update, self.history, self.right = state["update"], list(state["history"]), list(state["right"])
        self.before, self.start = state["cpu_s"], time.process_time()


def train(
    model: PlasticSNN,
    training: CueRewardTraining,
    seed: int,
    folder: Path,
    *,
    task: CueRewardConfig = TASK,
    progress: bool | Progress = True,
) -> list[dict[str, Any]]:
    """Train in place; gives the history (see `CueRewardLearner`). A run that was stopped goes on from its last save in `folder`, and one
    that is done when more updates are asked for.

    Raises:
        TrainingError: the folder's run is another one.
        TrainingInterrupted: a signal came.
    """
    learner = CueRewardLearner(model, training, seed, task)
    same = {name: value for name, value in asdict(training).items() if name != "updates"}
    about = {"config": asdict(model.config), "training": same, "task": asdict(task), "seed": seed}
    learn(learner, training.updates, about=about, folder=folder, save_every=training.record_every, progress=progress)
    return learner.history
