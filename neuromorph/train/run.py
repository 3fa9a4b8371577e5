"""A training run in the middle of its work: one update, one evaluation, and all that it takes to go on elsewhere."""

import copy
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from neuromorph.dataset import Dataset
from neuromorph.errors import TrainingError
from neuromorph.train.assemble import assemble, device_of
from neuromorph.train.checkpoint import Checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.connectivity import count
from neuromorph.train.evaluate import Evaluation, batch_of, evaluate
from neuromorph.train.history import Record, best_of
from neuromorph.train.network import Decision
from neuromorph.train.schedule import epoch_order, learning_factor


class Diverged(TrainingError):
    """Something is no longer finite."""


class Run:
    """Model, optimizer under DEEP R, generator, and how far they are: `update` updates done, `history` so far.

    The next batch follows from seed and `update`, the learning rate from `update`. `sums`: samples, correct ones, loss and
    rate of the batches since the last record.
    """

    def __init__(self, config: TrainConfig, data: Dataset) -> None:
        self.config, self.data = config, data
        self.device = device_of(config.training.device)
        self.generator = torch.Generator().manual_seed(config.training.seed)
        self.model, self.deep_r = assemble(config, data, self.generator, self.device)
        self.initial = {name: weights.detach().clone() for name, weights in self.deep_r.weights.items()}
        self.requested = count(self.deep_r.masks())
        self.best = copy.deepcopy(self.model)
        self.per_epoch = config.per_epoch(len(data.train))
        self.updates = config.updates(len(data.train))
        self.order = functools.lru_cache(1)(lambda epoch: epoch_order(len(data.train), config.training.seed, epoch))
        self.update = 0
        self.history: list[Record] = []
        self.sums = [0.0] * 4

    def step(self) -> None:
        """One update.

        Raises:
            Diverged: loss, gradients or weights are no longer finite.
        """
        training, factor = self.config.training, self._factor(self.update)
        for group in self.deep_r.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        epoch, index = divmod(self.update, self.per_epoch)
        chosen = self.order(epoch)[index * training.batch : (index + 1) * training.batch]
        x, labels = batch_of(self.data.train, chosen, self.device)
        if training.input_dropout:
            x = x & (torch.rand(x.shape, generator=self.generator) >= training.input_dropout).to(self.device)
        decision, error = self._loss(x, labels)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip or torch.inf)
        if not torch.isfinite(error + norm):
            raise Diverged(f"the loss is {float(error):g}, the norm of its gradient {float(norm):g}")
        try:
            self.deep_r.step()
        except TrainingError as fault:
            raise Diverged(str(fault).rstrip(".")) from fault
        self.update += 1
        batch = (1, (decision.logits.argmax(1) == labels).float().mean(), error, decision.rates.detach().mean())
        self.sums = [total + float(value) * len(chosen) for total, value in zip(self.sums, batch)]

    def _loss(self, x: Tensor, labels: Tensor) -> tuple[Decision, Tensor]:
        """Decision and cross entropy of a batch; gradients of the whole loss are left in the parameters."""
        terms, training = self.config.regularisation, self.config.training
        decision = self.model.decide(x, training.window, overshoot=terms.voltage_weight > 0)
        error = cross_entropy(training.logit_scale * decision.logits, labels)
        target = terms.rate_target_hz * self.model.dt
        total = error + terms.rate_weight * (decision.rates - target).square().sum()
        total = total + terms.voltage_weight * decision.overshoot.sum()
        self.deep_r.zero_grad()
        total.backward()
        return decision, error.detach()

    def _factor(self, update: int) -> float:
        return learning_factor(self.config.optimizer, update, self.updates)

    @property
    def due(self) -> str | None:
        """What has to be recorded before the next update: "validation", "training" or nothing."""
        if self.update == (self.history[-1].update if self.history else 0):
            return None
        training = self.config.training
        if self.update == self.updates or self.update % (training.evaluate_every or self.per_epoch) == 0:
            return "validation"
        return "training" if training.log_every and self.update % training.log_every == 0 else None

    def record(self, between: Callable[[], None]) -> Record:
        """Add what is due to the history; the model is kept if it is the best so far. `between`: see `evaluate`.

        Raises:
            Diverged: the loss on the validation part is not finite.
        """
        validation = None
        if self.due == "validation":
            validation = evaluate(
                self.model, self.data.validation, self.config.training.window, self.config.training.logit_scale, between=between
            )
            if not math.isfinite(validation.loss):
                raise Diverged(f"the validation loss is {validation.loss:g}")
        samples, correct, loss, rate = self.sums
        trained = Evaluation(correct / samples, loss / samples, rate / samples / self.model.dt)
        lr = self.config.optimizer.lr * self._factor(self.update - 1)
        self.history.append(Record(self.update, self.update / self.per_epoch, trained, validation, lr, n_active=count(self.deep_r.masks())))
        self.sums = [0.0] * 4
        if best_of(self.history) is self.history[-1]:
            self.best.load_state_dict(self.model.state_dict())
        return self.history[-1]

    def checkpoint(self) -> Checkpoint:
        """The best model so far, on the CPU."""
        signs = {name: sign.cpu() for name, sign in self.deep_r.signs.items()}
        model = copy.deepcopy(self.best).cpu()
        masks = {name: signs[name] * w.detach() > 0 for name, w in model.weights().items()}
        initial = {name: w.cpu() for name, w in self.initial.items()}
        lines = tuple(asdict(record) for record in self.history if record.validation)
        return Checkpoint(model, signs, masks, initial, self.config.to_dict(), self._task(), lines)

    def _task(self) -> dict[str, Any]:
        return {"name": self.data.name, "about": dict(self.data.about)}

    def _sizes(self) -> list[int]:
        return [len(part) for part in (self.data.train, self.data.validation, self.data.test)]

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to go on with the same bits."""
        return {
            "config": self.config.to_dict(),
            "task": self._task(),
            "sizes": self._sizes(),
            "update": self.update,
            "history": [asdict(record) for record in self.history],
            "sums": self.sums,
            "generator": self.generator.get_state(),
            "model": self.model.state_dict(),
            "best": self.best.state_dict(),
            "initial": self.initial,
            "deep_r": self.deep_r.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, which must be of this configuration and data.

        Raises:
            TrainingError: the data are others than before, or the state does not fit the model.
        """
        if (found := [self._task(), self._sizes()]) != (before := [state["task"], state["sizes"]]):
            raise TrainingError(f"Resume: the data are {found}, the run was on {before}; give the same data.")
        try:
            self.model.load_state_dict(state["model"])
            self.best.load_state_dict(state["best"])
        except RuntimeError as error:
            raise TrainingError(f"Resume: the state does not fit the network: {error}") from error
        self.deep_r.load_state_dict(state["deep_r"])
        self.initial = dict(state["initial"])
        self.generator.set_state(state["generator"])
        self.update, self.sums = state["update"], list(state["sums"])
        self.history = [Record.of(values) for values in state["history"]]
