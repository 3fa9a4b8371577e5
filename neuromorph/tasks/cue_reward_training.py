"""Training of spiking networks on cue-reward, from a state from which a run goes on with the same bits.

The answers are sampled and fed back with their reward; the loss is their cross-entropy, and its gradient flows through the plasticity
that the rewards cause within the episode.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from neuromorph.tasks.cue_reward import CueReward, CueRewardConfig
from neuromorph.tasks.cue_reward_spiking import Trained, channels, play
from neuromorph.train.plastic_snn import PlasticSNN, PlasticSNNConfig
from neuromorph.train.state import has_state, load_state, save_state

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


def train(
    model: PlasticSNN,
    training: CueRewardTraining,
    seed: int,
    folder: Path,
    *,
    task: CueRewardConfig = TASK,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Train in place; gives the history: update, accuracy by trial (sampled answers), CPU seconds. A run that was stopped goes on from its
    last save in `folder`.
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    optimizer = torch.optim.Adam(groups(model, training))
    env = CueReward(task, training.batch, generator)  # draws episodes, so before the generator of a stopped run comes back
    first, history, before = 0, list[dict[str, Any]](), 0.0
    if has_state(folder):
        state = load_state(folder)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        first, history, before = state["update"], state["history"], state["cpu_s"]
    folder.mkdir(parents=True, exist_ok=True)
    start, right = time.process_time(), list[torch.Tensor]()
    for update in range(first + 1, training.updates + 1):
        played = play(Trained(model, training.batch), env, generator, greedy=False)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(played.logits, played.labels.to(played.logits)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimizer.step()
        model.constrain()
        right.append(played.right.float().mean(1))
        if progress:
            progress(update, training.updates)
        if update % training.record_every == 0 or update == training.updates:
            spent = before + time.process_time() - start
            history.append({"update": update, "accuracy": torch.stack(right).mean(0).tolist(), "cpu_s": spent})
            right.clear()
            done = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "generator": generator.get_state()}
            save_state(folder, {**done, "update": update, "history": history, "cpu_s": spent})
    return history
