"""A training run in the middle of its work: one update, one evaluation, and all that it takes to go on elsewhere."""

import copy
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from neuromorph.dataset import ANALOG, Dataset, Samples
from neuromorph.errors import TrainingError
from neuromorph.grid import Grid
from neuromorph.hardware import load_profile
from neuromorph.train.assemble import assemble, device_of
from neuromorph.train.checkpoint import Checkpoint
from neuromorph.train.config import TrainConfig
from neuromorph.train.distributed import Ranks, Share, check_masks, mean_over, sum_gradients
from neuromorph.train.evaluate import Evaluation, batch_of, evaluate
from neuromorph.train.history import Record, best_of
from neuromorph.train.network import LSNN
from neuromorph.train.quantization_aware import Rounding
from neuromorph.train.schedule import epoch_order, kept_inputs, learning_factor
from neuromorph.train.storage import Network, active, n_live, synapses


class Diverged(TrainingError):
    """Something is no longer finite."""


class Run:
    """Model, optimizer under DEEP R, and how far they are: `update` updates done, `history` so far.

    The next batch and all that is drawn in an update follow from seed and `update`, the learning rate from `update`.
    `sums`: samples, correct ones, loss and rate of the batches since the last record. Of several `ranks` each works on
    its share of every batch; all hold the same numbers.
    """

    def __init__(self, config: TrainConfig, data: Dataset, ranks: Ranks = Ranks()) -> None:
        self.config, self.data, self.ranks = config, data, ranks
        self.device = device_of(config.device)
        generator = torch.Generator().manual_seed(config.training.seed)
        self.model, self.deep_r = assemble(config, data, generator, self.device)
        self.initial = synapses(self.model)
        self.requested = n_live(self.model)
        profile = config.quantization.profile
        if profile and data.analog:
            raise TrainingError(
                f"quantization.profile is {profile!r}, but the input of {data.name!r} is analog, and chips take spikes; "
                "choose an encoding into spikes, or leave the profile out."
            )
        self.rounding = self._rounding(profile) if profile else None
        self.best, self.best_grid = copy.deepcopy(self.deployed()), self._grid()
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
            TrainingError: ranks no longer have the same active synapses.
        """
        training, factor = self.config.training, self._factor(self.update)
        for group in self.deep_r.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        epoch, index = divmod(self.update, self.per_epoch)
        chosen = self.order(epoch)[index * training.batch : (index + 1) * training.batch]
        accuracy, error, rates = self._loss(chosen)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip or torch.inf)
        if not torch.isfinite(error + norm):
            raise Diverged(f"the loss is {float(error):g}, the norm of its gradient {float(norm):g}")
        try:
            self.deep_r.step()
        except TrainingError as fault:
            raise Diverged(str(fault).rstrip(".")) from fault
        self.update += 1
        self.sums = [total + float(value) * len(chosen) for total, value in zip(self.sums, (1, accuracy, error, rates.mean()))]
        if self.update % training.digest_every == 0 or self.update == self.updates:
            self.check_masks()

    def check_masks(self) -> None:
        """Whether all ranks have the same active synapses.

        Raises:
            TrainingError: they have not.
        """
        if self.ranks.size > 1:
            check_masks(self.ranks, self.deep_r.digest(), self.update)

    def _loss(self, chosen: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Accuracy, cross entropy and rates of a batch; gradients of the whole loss are left in the parameters."""
        terms, training = self.config.regularisation, self.config.training
        mine = self.ranks.share(len(chosen))
        weight = len(mine) / len(chosen)
        x, labels = self._batch(chosen, mine if len(mine) else np.zeros(1, np.int64))
        network = self._trained()
        decision = network.decide(x, training.window, overshoot=terms.voltage_weight > 0)
        error = cross_entropy(training.logit_scale * decision.logits, labels)
        accuracy = (decision.logits.argmax(1) == labels).to(error).mean()
        accuracy, error, rates, overshoot = mean_over(self.ranks, weight, accuracy, error, decision.rates, decision.overshoot)
        target = terms.rate_target_hz * self.model.dt
        total = error + terms.rate_weight * (rates - target).square().sum()
        total = total + terms.voltage_weight * overshoot.sum()
        self.deep_r.zero_grad()
        total.backward()
        if self.rounding is not None and network is self.rounding.rounded:
            self.rounding.hand_back()
        sum_gradients(self.ranks, self.model.parameters())
        return accuracy.detach(), error.detach(), rates.detach()

    def _batch(self, chosen: np.ndarray, mine: np.ndarray) -> tuple[Tensor, Tensor]:
        """Input and labels of the samples that are `mine` of a batch; dropout is drawn for the whole of it."""
        x, labels = batch_of(self.data.train, chosen[mine], self.device)
        if share := self.config.training.input_dropout:
            kept = kept_inputs((len(x), len(chosen), x.shape[2]), share, self.config.training.seed, self.update)
            x = x * torch.from_numpy(kept[:, mine]).to(self.device)
        return x, labels

    def evaluate(self, model: Network, part: Samples, between: Callable[[], None] = lambda: None) -> Evaluation:
        """`evaluate`, shared by all ranks; several of them do not call `between`."""
        training, ranks = self.config.training, self.ranks
        if ranks.size == 1:
            return evaluate(model, part, training.window, training.logit_scale, between=between)
        share = Share(part, ranks.share(len(part)))
        found = torch.tensor(astuple(evaluate(model, share, training.window, training.logit_scale)), dtype=torch.float64)
        (mean,) = mean_over(ranks, len(share) / max(len(part), 1), found)
        return Evaluation(*mean.tolist())

    def _rounding(self, profile: str) -> Rounding:
        assert isinstance(self.model, LSNN), "TrainConfig lets only matrices be rounded"
        return Rounding(self.model, self.deep_r.signs, load_profile(profile))

    def deployed(self) -> Network:
        """The network that is evaluated and kept: the model, in the chip's numbers where it is trained for a chip."""
        return self.model if self.rounding is None else self.rounding.update()

    def _trained(self) -> Network:
        """The network whose loss the next update lowers."""
        settings = self.config.quantization
        if self.rounding is not None and self.update % settings.grid_every == 0:
            self.rounding.refresh()
        return self.model if self.update < settings.start_epoch * self.per_epoch else self.deployed()

    def _grid(self) -> Grid:
        return Grid() if self.rounding is None else self.rounding.grid

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
            validation = self.evaluate(self.deployed(), self.data.validation, between)
            if not math.isfinite(validation.loss):
                raise Diverged(f"the validation loss is {validation.loss:g}")
        samples, correct, loss, rate = self.sums
        trained = Evaluation(correct / samples, loss / samples, rate / samples / self.model.dt)
        lr = self.config.optimizer.lr * self._factor(self.update - 1)
        self.history.append(Record(self.update, self.update / self.per_epoch, trained, validation, lr, n_active=n_live(self.model)))
        self.sums = [0.0] * 4
        if best_of(self.history) is self.history[-1]:
            self.best.load_state_dict(self.deployed().state_dict())
            self.best_grid = self._grid()
        return self.history[-1]

    def checkpoint(self) -> Checkpoint:
        """The best model so far, on the CPU."""
        signs = {name: sign.cpu() for name, sign in self.deep_r.signs.items()}
        model = copy.deepcopy(self.best).cpu()
        initial = {name: w.cpu() for name, w in self.initial.items()}
        lines = tuple(asdict(record) for record in self.history if record.validation)
        return Checkpoint(model, signs, active(model, signs), initial, self.config.to_dict(), self._task(), lines, self.best_grid)

    def _task(self) -> dict[str, Any]:
        return {"name": self.data.name, "about": dict(self.data.about)} | (ANALOG if self.data.analog else {})

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
            "model": self.model.state_dict(),
            "best": self.best.state_dict(),
            "grids": [asdict(self._grid()), asdict(self.best_grid)],
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
        if self.rounding is not None:
            grid, self.best_grid = (Grid(**each) for each in state["grids"])
            self.rounding.use(grid)
        self.initial = dict(state["initial"])
        self.update, self.sums = state["update"], list(state["sums"])
        self.history = [Record.of(values) for values in state["history"]]
