"""DEEP R: training with a fixed number of synapses of fixed sign (Bellec et al. 2018, arXiv 1711.05136)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, TypeAlias, Unpack

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.connectivity import ConnectivitySchedule, allowed_synapses, choose, count, draw_masks, weakest
from neuromorph.train.rewiring import NEWBORN, Rewiring, RewiringOptions, random_walk

__all__ = ["NEWBORN", "Constraint", "DeepR", "allowed_synapses", "draw_masks"]

Constraint: TypeAlias = Literal["global", "projection"]

EVERYTHING = "all matrices"


class DeepR(Rewiring):
    """Wraps any torch optimizer and keeps an exact number of synapses over all its matrices, or of each matrix.

    A synapse has a fixed sign s and a strength theta = s * w. It is active where theta > 0; elsewhere it is dormant and
    its weight is exactly 0. One `step` is (Bellec et al. 2018, algorithm 1):

    1. the wrapped optimizer's own step, after which dormant weights are put back to 0;
    2. on active synapses theta -= lr * l1 and theta += sqrt(2 * lr * temperature) * N(0, 1), with the learning rate
       of that moment and of the matrix's own parameter group;
    3. theta <= 0 becomes dormant;
    4. as many synapses as were lost are drawn, uniformly and without replacement, from all dormant allowed ones of all
       matrices together (those just lost included), and start at theta = 1e-12. `constraint="projection"`: of each
       matrix as many as it lost.

    With a `schedule` the number follows it: where it falls the weakest active synapses become dormant after line 3
    (smallest theta; of equal ones the first), where it rises more are drawn in line 4.

    Differences from the paper: step 1 is any optimizer, not only SGD; by default the constraint is one for all matrices,
    as in the LSNN code, so that the density of each may drift; newborns start at 1e-12 instead of 0, so that they count
    as active; the number may follow a schedule. Adam on w equals Adam on theta, because its update is odd in the
    gradient. The L1 pull is decoupled: moments never see it. Autapses, which the LSNN code counts as active while masking
    them, are not allowed.

    Since w is dense, dormant synapses have gradients. `dormant_gradients` decides what the optimizer makes of them:

    - "dense", as in the LSNN code: moments of dormant synapses advance and are never reset. A newborn starts with warm
      moments; Adam's first step moves it by about lr, up or down by its recent mean gradient, so that newborns in a
      wrong place die at once.
    - "live": dormant gradients count as zero (`w.grad` is changed) and the moments of newborns restart from zero, as if
      only active synapses were stored. Before its first step a newborn knows nothing of the past. The step counts of
      the optimizer go on, so with Adam's usual betas and late in training that step is 0.1 / sqrt(0.001) = 3.2 lr long.
      A gradient norm that is clipped before `step` still holds the dormant part. Not for LBFGS and Rprop, whose state
      is not a moment for each weight.

    Args:
        optimizer: holds every matrix of `weights` among its parameters.
        weights: name -> parameter [n_out, n_in].
        signs: name -> +1 or -1 of each entry, fixed for good.
        masks: name -> synapses active at the start, see `draw_masks`. Active weights must not oppose their sign.
        generator: source of the noise and of newborn synapses; or
        seed: instead of it, for draws that depend on (seed, step) alone: equal on all processes of a distributed run.
        allowed: name -> synapses that may exist; default `allowed_synapses(weights)`.
        l1: strength of the decoupled L1 pull, >= 0.
        temperature: of the random walk, >= 0; 0 for none.
        constraint: "global": one number for all matrices together; "projection": one for each matrix.
        schedule: number of active synapses by step; default: that of `masks` for good. For constraint "projection" one
            for every matrix, or name -> schedule.
        dormant_gradients: "dense" or "live", see above.

    Raises:
        TrainingError: mismatched names or shapes, signs other than +-1, a weight that opposes its sign, masks that do
            not have the schedule's number at step 0.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Mapping[str, Num[Tensor, "_ _"]],
        signs: Mapping[str, Num[Tensor, "_ _"]],
        masks: Mapping[str, Bool[Tensor, "_ _"]],
        *,
        temperature: float = 0.0,
        constraint: Constraint = "global",
        schedule: ConnectivitySchedule | Mapping[str, ConnectivitySchedule] | None = None,
        **options: Unpack[RewiringOptions],
    ) -> None:
        super().__init__(optimizer, weights, signs, masks, temperature=temperature, **options)
        if constraint not in ("global", "projection"):
            raise TrainingError(f"DEEP R: constraint is {constraint!r}; allowed are 'global' and 'projection'.")
        self.constraint: Constraint = constraint
        self.initial_counts = {group: count({name: masks[name] for name in names}) for group, names in self._groups().items()}
        self.schedules = self._by_group(schedule)
        for group, n in self.initial_counts.items():
            if n != self._target(group):
                raise TrainingError(
                    f"DEEP R: the masks hold {n} synapses ({group}), the schedule starts with {self._target(group)}; "
                    "draw them with the schedule's initial density."
                )

    @property
    def n_active(self) -> int:
        """Synapses that are active now, over all matrices."""
        return sum(self._target(group) for group in self._groups())

    def _groups(self) -> dict[str, tuple[str, ...]]:
        """The matrices that share one number of synapses."""
        return {EVERYTHING: tuple(self.weights)} if self.constraint == "global" else {name: (name,) for name in self.weights}

    def _by_group(self, schedule: ConnectivitySchedule | Mapping[str, ConnectivitySchedule] | None) -> dict[str, ConnectivitySchedule]:
        if schedule is None:
            return {}
        if isinstance(schedule, ConnectivitySchedule):
            return dict.fromkeys(self._groups(), schedule)
        if schedule.keys() != self._groups().keys():
            raise TrainingError(
                f"DEEP R: schedules are given for {sorted(schedule)}; constraint '{self.constraint}' takes {sorted(self._groups())}."
            )
        return dict(schedule)

    def _target(self, group: str) -> int:
        if group not in self.schedules:
            return self.initial_counts[group]
        return self.schedules[group].count(self.steps, count({name: self.allowed[name] for name in self._groups()[group]}))

    def _rewire(
        self, active: Mapping[str, Tensor], rates: Mapping[Tensor, float], generator: torch.Generator
    ) -> dict[str, Bool[Tensor, "_ _"]]:
        for name, w in self.weights.items():
            theta = self._pulled(name, rates[w]) + random_walk(w, rates[w], self.temperature, generator)
            w.copy_(torch.where(active[name] & (theta > 0), self.signs[name] * theta, 0))
        newborn: dict[str, Tensor] = {}
        for group, names in self._groups().items():
            self._prune(names, self._target(group))
            newborn |= self._regrow(names, self._target(group), generator)
        return newborn

    def _prune(self, names: tuple[str, ...], target: int) -> None:
        """The weakest become dormant until no more than `target` are active."""
        strengths = {name: self.signs[name] * self.weights[name] for name in names}
        surplus = sum(int((theta > 0).sum()) for theta in strengths.values()) - target
        if surplus > 0:
            for name, lost in weakest(strengths, surplus).items():
                self.weights[name].masked_fill_(lost, 0)

    def _regrow(self, names: tuple[str, ...], target: int, generator: torch.Generator) -> dict[str, Bool[Tensor, "_ _"]]:
        """Newborns until `target` are active."""
        masks = self.masks()
        active = {name: masks[name] for name in names}
        newborn = choose({name: self.allowed[name] & ~active[name] for name in names}, target - count(active), generator)
        for name, entries in newborn.items():
            w = self.weights[name]
            w.copy_(torch.where(entries, NEWBORN * self.signs[name], w))
        return newborn

    def state_dict(self) -> dict[str, Any]:
        """See `Rewiring.state_dict`."""
        return super().state_dict() | {
            "constraint": self.constraint,
            "initial_counts": dict(self.initial_counts),
            "schedules": {group: asdict(schedule) for group, schedule in self.schedules.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Rewiring.load_state_dict`. Constraint, schedules and all other options are the state's."""
        super().load_state_dict(state)
        self.constraint = state["constraint"]
        self.initial_counts = dict(state["initial_counts"])
        self.schedules = {group: ConnectivitySchedule(**fields) for group, fields in state["schedules"].items()}
