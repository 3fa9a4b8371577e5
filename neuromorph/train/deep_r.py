"""DEEP R: training with a fixed number of synapses of fixed sign (Bellec et al. 2018, arXiv 1711.05136)."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from neuromorph.errors import TrainingError

NEWBORN = 1e-12  # strength theta of a synapse that has just been drawn


class DeepR:
    """Wraps any torch optimizer and keeps exactly `n_active` synapses over all its matrices.

    A synapse has a fixed sign s and a strength theta = s * w. It is active where theta > 0; elsewhere it is dormant and
    its weight is exactly 0. One `step` is (Bellec et al. 2018, algorithm 1):

    1. the wrapped optimizer's own step, after which dormant weights are put back to 0;
    2. on active synapses theta -= lr * l1 and theta += sqrt(2 * lr * temperature) * N(0, 1), with the learning rate
       of that moment and of the matrix's own parameter group;
    3. theta <= 0 becomes dormant;
    4. as many synapses as were lost are drawn, uniformly and without replacement, from all dormant allowed ones of all
       matrices together (those just lost included), and start at theta = 1e-12.

    Differences from the paper: step 1 is any optimizer, not only SGD; the constraint is one for all matrices, as in the
    LSNN code, so that the density of each may drift; newborns start at 1e-12 instead of 0, so that they count as active.
    Since w is dense, dormant synapses have gradients and moments of Adam advance for them as well (as in the LSNN code),
    which steadies newborns. Adam on w equals Adam on theta, because its update is odd in the gradient. The L1 pull is
    decoupled: moments never see it. Autapses, which the LSNN code counts as active while masking them, are not allowed.

    Args:
        optimizer: holds every matrix of `weights` among its parameters.
        weights: name -> parameter [n_out, n_in].
        signs: name -> +1 or -1 of each entry, fixed for good.
        masks: name -> synapses active at the start, see `draw_masks`. Active weights must not oppose their sign.
        generator: source of the noise and of newborn synapses.
        allowed: name -> synapses that may exist; default `allowed_synapses(weights)`.
        l1: strength of the decoupled L1 pull, >= 0.
        temperature: of the random walk, >= 0; 0 for none.

    Raises:
        TrainingError: mismatched names or shapes, signs other than +-1, a weight that opposes its sign.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Mapping[str, Num[Tensor, "_ _"]],
        signs: Mapping[str, Num[Tensor, "_ _"]],
        masks: Mapping[str, Bool[Tensor, "_ _"]],
        *,
        generator: torch.Generator,
        allowed: Mapping[str, Bool[Tensor, "_ _"]] | None = None,
        l1: float = 0.0,
        temperature: float = 0.0,
    ) -> None:
        self.optimizer = optimizer
        self.weights = dict(weights)
        self.signs = {name: sign.detach().clone() for name, sign in signs.items()}
        self.allowed = {name: mask.clone() for name, mask in (allowed or allowed_synapses(weights)).items()}
        self.generator = generator
        self.l1 = l1
        self.temperature = temperature
        self._check(masks)
        self.n_active = sum(int(mask.sum()) for mask in masks.values())
        with torch.no_grad():
            for name, w in self.weights.items():
                theta = (self.signs[name] * w).clamp(min=NEWBORN)
                w.copy_(torch.where(masks[name], self.signs[name] * theta, 0))

    def masks(self) -> dict[str, Bool[Tensor, "_ _"]]:
        """The synapses active now, by matrix."""
        return {name: self.signs[name] * w.detach() > 0 for name, w in self.weights.items()}

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what the wrapped optimizer's step returns.

        Raises:
            TrainingError: a weight is no longer finite.
        """
        active = self.masks()
        loss = self.optimizer.step(closure)
        rates = {id(p): float(group["lr"]) for group in self.optimizer.param_groups for p in group["params"]}
        for name, w in self.weights.items():
            self._prune(name, w, active[name], rates[id(w)])
        self._regrow()
        return loss

    def _prune(self, name: str, w: Float[Tensor, "_ _"], active: Bool[Tensor, "_ _"], lr: float) -> None:
        theta = self.signs[name] * w - lr * self.l1
        if self.temperature:
            noise = torch.randn(w.shape, generator=self.generator, device=self.generator.device, dtype=w.dtype).to(w.device)
            theta += math.sqrt(2 * lr * self.temperature) * noise
        if not torch.isfinite(theta).all():
            raise TrainingError(f"DEEP R: matrix '{name}' holds weights that are not finite; lower the learning rate or clip gradients.")
        w.copy_(torch.where(active & (theta > 0), self.signs[name] * theta, 0))

    def _regrow(self) -> None:
        active = self.masks()
        missing = self.n_active - sum(int(mask.sum()) for mask in active.values())
        dormant = {name: self.allowed[name] & ~mask for name, mask in active.items()}
        for name, newborn in _draw(dormant, missing, self.generator).items():
            w = self.weights[name]
            w.copy_(torch.where(newborn, NEWBORN * self.signs[name], w))

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on identically (the weights are the model's to save)."""
        return {
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "signs": {name: sign.clone() for name, sign in self.signs.items()},
            "allowed": {name: mask.clone() for name, mask in self.allowed.items()},
            "n_active": self.n_active,
            "l1": self.l1,
            "temperature": self.temperature,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; the model's weights must have been restored before.

        Raises:
            TrainingError: the weights now held do not have the state's number of active synapses.
        """
        signs = state["signs"]
        n_active = sum(int((signs[name] * w > 0).sum()) for name, w in self.weights.items())
        if n_active != state["n_active"]:
            raise TrainingError(
                f"DEEP R: the state belongs to {state['n_active']} active synapses, the weights hold {n_active}; restore them first."
            )
        self.optimizer.load_state_dict(state["optimizer"])
        self.signs = {name: sign.clone() for name, sign in signs.items()}
        self.allowed = {name: mask.clone() for name, mask in state["allowed"].items()}
        self.n_active, self.l1, self.temperature = n_active, state["l1"], state["temperature"]
        self.generator.set_state(state["generator"])

    def _check(self, masks: Mapping[str, Tensor]) -> None:
        if self.l1 < 0 or self.temperature < 0:
            raise TrainingError(f"DEEP R: l1 {self.l1} and temperature {self.temperature} must not be negative.")
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        for given, what in ((self.signs, "signs"), (masks, "masks"), (self.allowed, "allowed")):
            if given.keys() != self.weights.keys():
                raise TrainingError(f"DEEP R: {what} are given for {sorted(given)}, weights for {sorted(self.weights)}.")
        for name, w in self.weights.items():
            shapes = {tuple(given[name].shape) for given in (self.signs, masks, self.allowed)}
            if shapes != {tuple(w.shape)}:
                raise TrainingError(f"DEEP R: matrix '{name}' has shape {tuple(w.shape)}, its signs and masks {sorted(shapes)}.")
            if id(w) not in held:
                raise TrainingError(f"DEEP R: the optimizer does not hold matrix '{name}'; give it the model's parameters.")
            if torch.finfo(w.dtype).tiny > NEWBORN:
                raise TrainingError(f"DEEP R: matrix '{name}' is {w.dtype}, which cannot hold {NEWBORN}; use float32, float64 or bfloat16.")
            if (self.signs[name].abs() != 1).any():
                raise TrainingError(f"DEEP R: signs of matrix '{name}' must be +1 or -1.")
            if (masks[name] & ~self.allowed[name]).any():
                raise TrainingError(f"DEEP R: the mask of matrix '{name}' holds synapses that are not allowed (autapses?).")
            if (masks[name] & (self.signs[name] * w < 0)).any():
                raise TrainingError(f"DEEP R: active weights of matrix '{name}' oppose their fixed signs; start from sign * |w|.")


def allowed_synapses(weights: Mapping[str, Num[Tensor, "_ _"]]) -> dict[str, Bool[Tensor, "_ _"]]:
    """Every entry, except that the matrix named "recurrent" has no autapses (its diagonal)."""
    allowed = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
    if "recurrent" in allowed:
        allowed["recurrent"].fill_diagonal_(False)
    return allowed


def draw_masks(
    allowed: Mapping[str, Bool[Tensor, "_ _"]], connectivity: float, generator: torch.Generator
) -> dict[str, Bool[Tensor, "_ _"]]:
    """Exactly round(connectivity * allowed) synapses over all matrices together, uniformly, without replacement.

    Raises:
        TrainingError: connectivity outside (0, 1].
    """
    if not 0 < connectivity <= 1:
        raise TrainingError(f"Connectivity {connectivity} must be in (0, 1].")
    total = sum(int(mask.sum()) for mask in allowed.values())
    return _draw(allowed, round(connectivity * total), generator)


def _draw(candidates: Mapping[str, Tensor], n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """n of the candidates, uniformly over all matrices, without replacement."""
    flat = torch.cat([mask.flatten() for mask in candidates.values()])
    places = flat.nonzero().squeeze(1)
    chosen = places[torch.randperm(len(places), generator=generator, device=generator.device)[:n].to(flat.device)]
    drawn = torch.zeros_like(flat)
    drawn[chosen] = True
    parts = drawn.split([mask.numel() for mask in candidates.values()])
    return {name: part.view_as(mask) for (name, mask), part in zip(candidates.items(), parts)}
