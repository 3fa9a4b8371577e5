"""Soft DEEP R: signed synapses that come and go by a random walk, without a fixed number (Bellec et al. 2018, arXiv 1711.05136)."""

from collections.abc import Mapping
from typing import Any, Unpack

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.rewiring import Rewiring, RewiringOptions, random_walk


class SoftDeepR(Rewiring):
    """Wraps any torch optimizer; dormant synapses keep a negative strength that wanders, and wake up above 0.

    One `step` is (Bellec et al. 2018, algorithm 2):

    1. the wrapped optimizer's own step on active synapses;
    2. active ones: theta -= lr * l1;
    3. all: theta += sqrt(2 * lr * temperature) * N(0, 1), then theta = max(theta, theta_min);
    4. theta > 0 is active with w = s * theta; theta <= 0 is dormant with w exactly 0, its theta kept in `dormant`.

    As in the authors' code, and unlike the letter of algorithm 2, a synapse that has just become dormant takes one
    random step, not two. The optimizer may be any; `dormant_gradients` as in `DeepR` ("live": those that wake up
    restart their moments). Connectivity settles where the loss, l1 and `theta_min` balance, see `floor_for`.

    Args: as `DeepR`, but no constraint and no schedule, and
        theta_min: floor of dormant strengths, < 0. They start uniformly between it and 0.
        temperature: > 0, else nothing ever wakes up.

    Raises:
        TrainingError: as `DeepR`; theta_min not negative, temperature not positive.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Mapping[str, Num[Tensor, "_ _"]],
        signs: Mapping[str, Num[Tensor, "_ _"]],
        masks: Mapping[str, Bool[Tensor, "_ _"]],
        *,
        theta_min: float,
        temperature: float,
        **options: Unpack[RewiringOptions],
    ) -> None:
        if not theta_min < 0:
            raise TrainingError(f"Soft DEEP R: theta_min is {theta_min}; it must be negative.")
        if not temperature > 0:
            raise TrainingError(f"Soft DEEP R: temperature is {temperature}; it must be positive, or no dormant synapse ever wakes up.")
        super().__init__(optimizer, weights, signs, masks, temperature=temperature, **options)
        self.theta_min = theta_min
        draws = self.randomness.at(0)
        self.dormant: dict[str, Float[Tensor, "_ _"]] = {}
        for name, w in self.weights.items():
            depth = torch.rand(w.shape, generator=draws, device=draws.device, dtype=w.dtype).to(w.device)
            self.dormant[name] = torch.where(masks[name], 0, theta_min * depth)

    def _rewire(
        self, active: Mapping[str, Tensor], rates: Mapping[Tensor, float], generator: torch.Generator
    ) -> dict[str, Bool[Tensor, "_ _"]]:
        newborn: dict[str, Tensor] = {}
        for name, w in self.weights.items():
            theta = torch.where(active[name], self._pulled(name, rates[w]), self.dormant[name])
            theta = (theta + random_walk(w, rates[w], self.temperature, generator)).clamp(min=self.theta_min)
            awake = self.allowed[name] & (theta > 0)
            w.copy_(torch.where(awake, self.signs[name] * theta, 0))
            self.dormant[name] = torch.where(awake, 0, theta.clamp(max=0))
            newborn[name] = awake & ~active[name]
        return newborn

    def state_dict(self) -> dict[str, Any]:
        """See `Rewiring.state_dict`."""
        dormant = {name: theta.clone() for name, theta in self.dormant.items()}
        return super().state_dict() | {"theta_min": self.theta_min, "dormant": dormant}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Rewiring.load_state_dict`."""
        super().load_state_dict(state)
        self.theta_min = state["theta_min"]
        self.dormant = {name: state["dormant"][name].to(w, copy=True) for name, w in self.weights.items()}


def floor_for(connectivity: float, l1: float, temperature: float) -> float:
    """The theta_min at which a share `connectivity` of synapses without a gradient is active on average.

    Stationary density of the walk: exp(-l1 * theta / temperature) above 0, uniform from theta_min to 0, so that
    connectivity / (1 - connectivity) = (temperature / l1) / |theta_min|. The authors' code uses the same balance. Holds
    for a step sqrt(2 * lr * temperature) that is small against temperature / l1 and |theta_min|.

    Raises:
        TrainingError: connectivity outside (0, 1), or l1 or temperature not positive.
    """
    if not (0 < connectivity < 1 and l1 > 0 and temperature > 0):
        raise TrainingError(
            f"Soft DEEP R: connectivity {connectivity}, l1 {l1}, temperature {temperature}; need 0 < connectivity < 1 and both others > 0."
        )
    return -(temperature / l1) * (1 - connectivity) / connectivity
