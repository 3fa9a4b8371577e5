"""Training of language models by truncated backpropagation through time: plastic states are carried from window to window, their history is
cut. From a state from which a run goes on with the same bits.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuromorph.backends.base import Progress
from neuromorph.errors import TrainingError
from neuromorph.tasks.language_model import Corpus, streams
from neuromorph.tasks.language_model_network import LanguageModel, Reading
from neuromorph.train.plastic import PlasticLSTMState
from neuromorph.train.resumable import learn

READ = 400
"""Steps of a window when a text is only read."""


@dataclass(frozen=True)
class LanguageModelTraining:
    """SGD on the mean loss of a word; gradients are cut to the norm `clip_norm`. (The usual rate 1 and norm 5, for a loss summed over 20
    steps, are 20 and 0.25 here.) The rate falls by `decay` every epoch from the one after `decay_after` on.

    `batch` streams are read in windows of `window` steps; with `vary` as in AWD-LSTM: one in twenty is half as long, all vary by a normal
    number of deviation 5, and the rate goes with the length. Penalties: `activity` on squares of the dropped outputs, `change` on squared
    differences of outputs from step to step. From the epoch after `average_after` on (0: never) the mean of all weights since then is
    what is validated and tested.
    """

    epochs: int = 6
    lr: float = 20.0
    decay: float = 0.5
    decay_after: int = 3
    clip_norm: float = 0.25
    weight_decay: float = 5e-7
    batch: int = 20
    window: int = 20
    vary: bool = False
    activity: float = 0.0
    change: float = 0.0
    average_after: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.window, self.save_every) < 1 or min(self.lr, self.decay, self.clip_norm) <= 0:
            raise TrainingError(f"{self}: counts, lr, decay and clip_norm must be positive.")


class Window(NamedTuple):
    """Steps `start` to `stop` - 1 of the streams in an epoch 0, 1, ...; whether they end it."""

    epoch: int
    start: int
    stop: int
    last: bool


def windows(length: int, training: LanguageModelTraining, seed: int) -> list[Window]:
    """Those of all epochs, over streams of `length` tokens: every token but the first is predicted once an epoch."""
    found, generator = list[Window](), torch.Generator().manual_seed(seed)
    for epoch in range(training.epochs):
        start = 0
        while start < length - 1:
            steps = training.window
            if training.vary:
                half, normal = torch.rand((), generator=generator) < 0.05, torch.randn((), generator=generator)
                steps = max(5, round(float(steps / 2 if half else steps) + 5 * float(normal)))
            stop = min(start + steps, length - 1)
            found.append(Window(epoch, start, stop, stop == length - 1))
            start = stop
    return found


@torch.no_grad()
def perplexity(model: LanguageModel, tokens: Int[Tensor, " tokens"], batch: int = 1) -> float:
    """exp of the mean loss of a word, plasticity at work, over the text as one stream or several."""
    text, states, total = streams(tokens, batch), model.initial_states(batch), 0.0
    for start in range(0, len(text) - 1, READ):
        stop = min(start + READ, len(text) - 1)
        reading = model(text[start:stop], states)
        states = reading.states
        total += float(loss_of(reading, text[start + 1 : stop + 1])) * (stop - start)
    return math.exp(total / (len(text) - 1))


def loss_of(reading: Reading, target: Int[Tensor, "time batch"]) -> Tensor:
    """Mean cross-entropy of a word."""
    return cross_entropy(reading.logits.flatten(0, 1), target.flatten())


class LanguageModelLearner:
    """A model in training, see `resumable.Learner`. `history`: an entry an epoch: epoch, update, perplexities `train` (while learning) and
    `valid`, mean gradient norm, CPU seconds of all sittings.
    """

    def __init__(self, model: LanguageModel, corpus: Corpus, training: LanguageModelTraining, seed: int) -> None:
        self.model, self.corpus, self.training = model, corpus, training
        self.text = streams(corpus.train, training.batch)
        self.windows = windows(len(self.text), training, seed)
        self.generator = torch.Generator().manual_seed(1000 + seed)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=training.lr, weight_decay=training.weight_decay)
        self.states = model.initial_states(training.batch)
        self.mean, self.averaged = dict[str, Tensor](), 0
        self.update, self.history, self.sums = 0, list[dict[str, Any]](), [0.0, 0.0, 0.0]
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
        window, training = self.windows[self.update], self.training
        steps = window.stop - window.start
        if window.start == 0:
            self.states = self.model.initial_states(training.batch)
        reading = self.model(self.text[window.start : window.stop], self.states, self.generator)
        self.states = [state.detach() for state in reading.states]
        loss = loss_of(reading, self.text[window.start + 1 : window.stop + 1])
        self.optimizer.zero_grad()
        (loss + self._penalty(reading)).backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm))
        if not math.isfinite(norm):
            raise TrainingError(f"Update {self.update + 1}: the gradient is no longer finite; lower lr (now {training.lr}).")
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(window.epoch) * (steps / training.window if training.vary else 1)
        self.optimizer.step()
        self.model.constrain()
        if 0 < training.average_after <= window.epoch:
            self._average()
        self.update += 1
        self.sums = [total + more for total, more in zip(self.sums, (float(loss.detach()) * steps, steps, norm * steps))]
        if window.last:
            self._record(window.epoch)

    def _rate(self, epoch: int) -> float:
        return self.training.lr * self.training.decay ** max(0, epoch + 1 - self.training.decay_after)

    def _penalty(self, reading: Reading) -> Tensor | float:
        training = self.training
        penalty = training.activity * reading.dropped.square().mean() if training.activity else 0.0
        if training.change and len(reading.raw) > 1:
            penalty = penalty + training.change * reading.raw.diff(dim=0).square().mean()
        return penalty

    @torch.no_grad()
    def _average(self) -> None:
        self.averaged += 1
        for name, p in self.model.named_parameters():
            mean = self.mean.setdefault(name, torch.zeros_like(p))
            mean += (p - mean) / self.averaged

    @contextmanager
    def for_reading(self) -> Iterator[LanguageModel]:
        """The model with the mean of its weights, where there is one."""
        kept = {name: p.detach().clone() for name, p in self.model.named_parameters()} if self.averaged else {}
        try:
            self.model.load_state_dict(self.mean, strict=False)
            yield self.model
        finally:
            self.model.load_state_dict(kept, strict=False)

    def _record(self, epoch: int) -> None:
        loss, steps, norm = self.sums
        with self.for_reading() as model:
            valid = perplexity(model, self.corpus.valid)
        told = {"train": math.exp(loss / steps), "valid": valid, "norm": norm / steps, "cpu_s": self.cpu_seconds}
        self.history.append({"epoch": epoch + 1, "update": self.update, **told})
        self.sums = [0.0, 0.0, 0.0]

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "states": [list(state) for state in self.states],
            "mean": self.mean,
            "averaged": self.averaged,
            "update": self.update,
            "history": self.history,
            "sums": self.sums,
            "cpu_s": self.cpu_seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.states = [PlasticLSTMState(*each) for each in state["states"]]
        self.mean, self.averaged = dict(state["mean"]), state["averaged"]
        self.update, self.history, self.sums = state["update"], list(state["history"]), list(state["sums"])
        self.before, self.start = state["cpu_s"], time.process_time()


def train(
    model: LanguageModel,
    corpus: Corpus,
    training: LanguageModelTraining,
    *,
    seed: int = 0,
    folder: Path | None = None,
    progress: bool | Progress = True,
) -> LanguageModelLearner:
    """Train in place; see `LanguageModelLearner` and `resumable.learn`. `seed`: of windows and dropout.

    Raises:
        TrainingError: a gradient is no longer finite, or the folder's run is another one.
        TrainingInterrupted: a signal came.
    """
    learner = LanguageModelLearner(model, corpus, training, seed)
    about = {"model": asdict(model.config), "training": asdict(training), "seed": seed, "corpus": corpus.name, "words": len(corpus)}
    learn(learner, len(learner.windows), about=about, folder=folder, save_every=training.save_every, progress=progress)
    return learner
