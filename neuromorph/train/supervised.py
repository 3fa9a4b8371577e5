"""Supervised training of any model: the loss is a function of the update's number, so that a resumed run goes on the same."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.train.config import OptimizerConfig
from neuromorph.train.rewiring import Rewiring
from neuromorph.train.schedule import learning_factor


class Loss(NamedTuple):
    """`total` is what the update lowers; `error`: of its batch, such as the share of wrong decisions; `rate_hz`: of hidden neurons."""

    total: Tensor
    error: float
    rate_hz: float = 0.0


class Supervised:
    """A model in training, see `resumable.Learner`.

    `loss`: of the batch of an update 0, 1, ...; `validate`: error on the validation part. Groups of the optimizer with a `base_lr` keep
    it. `history`: every `record_every` updates and at the end: update, mean `train` error and `rate_hz` since the entry before,
    `validation` error, CPU seconds of all sittings.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | Rewiring,
        config: OptimizerConfig,
        updates: int,
        *,
        loss: Callable[[int], Loss],
        validate: Callable[[], float],
        record_every: int = 100,
    ) -> None:
        self.model, self.optimizer, self.config, self.updates = model, optimizer, config, updates
        self.loss, self.validate, self.record_every = loss, validate, record_every
        self.update, self.history, self.sums = 0, list[dict[str, Any]](), [0.0, 0.0, 0.0]
        self.before, self.start = 0.0, time.process_time()

    def learn(self) -> None:
        """One update.

        Raises:
            TrainingError: loss or gradients are no longer finite.
        """
        held = self.optimizer.optimizer if isinstance(self.optimizer, Rewiring) else self.optimizer
        for group in held.param_groups:
            group["lr"] = group.get("base_lr", self.config.lr) * learning_factor(self.config, self.update, self.updates)
        loss = self.loss(self.update)
        self.optimizer.zero_grad()
        loss.total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or torch.inf)
        if not math.isfinite(float(loss.total.detach() + norm)):
            raise TrainingError(f"Update {self.update + 1}: loss {float(loss.total):g}, gradient norm {float(norm):g}; lower lr or clip.")
        self.optimizer.step()
        self.update += 1
        self.sums = [total + value for total, value in zip(self.sums, (1.0, loss.error, loss.rate_hz))]
        if self.update % self.record_every == 0 or self.update == self.updates:
            self._record()

    def _record(self) -> None:
        n, error, rate = self.sums
        with torch.no_grad():
            validation = self.validate()
        entry = {"update": self.update, "train": error / n, "validation": validation, "rate_hz": rate / n, "cpu_s": self.cpu_seconds}
        self.history.append(entry)
        self.sums = [0.0, 0.0, 0.0]

    @property
    def cpu_seconds(self) -> float:
        """Of all sittings."""
        return self.before + time.process_time() - self.start

    def state_dict(self) -> dict[str, Any]:
        made = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "update": self.update}
        return {**made, "history": self.history, "sums": self.sums, "cpu_s": self.cpu_seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.update, self.history, self.sums = state["update"], list(state["history"]), list(state["sums"])
        self.before, self.start = state["cpu_s"], time.process_time()
