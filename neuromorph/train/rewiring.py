"""What all rewiring optimizers share: their randomness, the optimizer they wrap, state and digest."""

import copy
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float, Num, Shaped
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.connectivity import allowed_synapses, count

NEWBORN = 1e-12  # strength theta of a synapse that has just been drawn

DormantGradients: TypeAlias = Literal["dense", "live"]


class RewiringOptions(TypedDict, total=False):
    """Options of all rewiring optimizers; see `DeepR`."""

    generator: torch.Generator | None
    seed: int | None
    allowed: Mapping[str, Bool[Tensor, "_ _"]] | None
    l1: float
    dormant_gradients: DormantGradients


class Randomness:
    """A running generator, or a fresh one for each step, seeded by (seed, step).

    With `seed` all draws of a step are made on the CPU by a generator that depends on nothing else, so that processes
    and resumed runs agree without a shared state.

    Raises:
        TrainingError: both or neither are given.
    """

    def __init__(self, generator: torch.Generator | None, seed: int | None) -> None:
        if (generator is None) == (seed is None):
            raise TrainingError("Rewiring: give either a running generator or a seed (for draws that depend on the step alone).")
        self.generator, self.seed = generator, seed

    def at(self, step: int) -> torch.Generator:
        """The generator of that step."""
        if self.generator is not None:
            return self.generator
        digest = hashlib.sha256(f"{self.seed}/{step}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed, "generator": None if self.generator is None else self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seed = state["seed"]
        if state["generator"] is None:
            self.generator = None
        else:
            self.generator = self.generator or torch.Generator()
            self.generator.set_state(state["generator"])


class Rewiring(ABC):
    """Wraps a torch optimizer; a synapse has a fixed sign s and a strength theta = s * w, and is active where theta > 0.

    A step is the wrapped optimizer's step, then `_rewire`. Dormant weights are exactly 0 after each step.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Mapping[str, Num[Tensor, "_ _"]],
        signs: Mapping[str, Num[Tensor, "_ _"]],
        masks: Mapping[str, Bool[Tensor, "_ _"]],
        *,
        temperature: float,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        allowed: Mapping[str, Bool[Tensor, "_ _"]] | None = None,
        l1: float = 0.0,
        dormant_gradients: DormantGradients = "dense",
    ) -> None:
        self.optimizer = optimizer
        self.weights = dict(weights)
        self.signs = {name: sign.detach().clone() for name, sign in signs.items()}
        self.allowed = {name: mask.clone() for name, mask in (allowed or allowed_synapses(weights)).items()}
        self.randomness = Randomness(generator, seed)
        self.l1 = l1
        self.temperature = temperature
        self.dormant_gradients: DormantGradients = dormant_gradients
        self.steps = 0
        self._check(masks)
        with torch.no_grad():
            for name, w in self.weights.items():
                theta = (self.signs[name] * w).clamp(min=NEWBORN)
                w.copy_(torch.where(masks[name], self.signs[name] * theta, 0))

    @property
    def generator(self) -> torch.Generator | None:
        """The running generator; None where draws are seeded by step."""
        return self.randomness.generator

    def masks(self) -> dict[str, Bool[Tensor, "_ _"]]:
        """The synapses active now, by matrix."""
        return {name: self.signs[name] * w.detach() > 0 for name, w in self.weights.items()}

    def digest(self) -> str:
        """Hex SHA-256 of the masks (bits packed, matrices by name): equal on all processes of a distributed run."""
        return _digest(self.masks())

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what the wrapped optimizer's step returns.

        Raises:
            TrainingError: a weight is no longer finite.
        """
        active = self.masks()
        loss = self._optimize(active, closure)
        self.steps += 1
        newborn = self._rewire(active, learning_rates(self.optimizer), self.randomness.at(self.steps))
        if self.dormant_gradients == "live":
            for name, entries in newborn.items():
                restart_moments(self.optimizer, self.weights[name], entries)
        return loss

    @abstractmethod
    def _rewire(
        self, active: Mapping[str, Tensor], rates: Mapping[Tensor, float], generator: torch.Generator
    ) -> dict[str, Bool[Tensor, "_ _"]]:
        """After the optimizer's step: new strengths of all matrices; returns the newborn synapses."""

    def _optimize(self, active: Mapping[str, Tensor], closure: Callable[[], Any] | None) -> Any:
        if self.dormant_gradients == "dense":
            return self.optimizer.step(closure)
        if closure is None:
            self._forget_dormant(active)
            return self.optimizer.step()

        def live_only() -> Any:
            loss = closure()
            self._forget_dormant(active)
            return loss

        return self.optimizer.step(live_only)

    def _forget_dormant(self, active: Mapping[str, Tensor]) -> None:
        for name, w in self.weights.items():
            if w.grad is not None:
                w.grad.masked_fill_(~active[name], 0)

    def _pulled(self, name: str, lr: float) -> Float[Tensor, "_ _"]:
        """Strengths after the optimizer's step and the decoupled L1 pull."""
        theta = self.signs[name] * self.weights[name] - lr * self.l1
        if not torch.isfinite(theta).all():
            raise TrainingError(f"DEEP R: matrix '{name}' holds weights that are not finite; lower the learning rate or clip gradients.")
        return theta

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on identically (the weights are the model's to save).

        Nested dicts of tensors, numbers, strings and None; copies.
        """
        return {
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "signs": {name: sign.clone() for name, sign in self.signs.items()},
            "allowed": {name: mask.clone() for name, mask in self.allowed.items()},
            "n_active": count(self.masks()),
            "digest": self.digest(),
            "steps": self.steps,
            "l1": self.l1,
            "temperature": self.temperature,
            "dormant_gradients": self.dormant_gradients,
            **self.randomness.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; the model's weights must have been restored before.

        Raises:
            TrainingError: the weights now held are not those with which the state was saved.
        """
        shapes = {name: sign.shape for name, sign in state["signs"].items()}
        if shapes != {name: w.shape for name, w in self.weights.items()}:
            raise TrainingError(f"DEEP R: the state belongs to matrices {shapes}, not to those held; build the same network.")
        held = {name: state["signs"][name].to(w) * w.detach() > 0 for name, w in self.weights.items()}
        if _digest(held) != state["digest"]:
            raise TrainingError(
                f"DEEP R: the state belongs to other weights: it has {state['n_active']} active synapses, the weights hold "
                f"{count(held)}, or others; restore them first."
            )
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.signs = {name: state["signs"][name].to(w, copy=True) for name, w in self.weights.items()}
        self.allowed = {name: state["allowed"][name].to(w.device, copy=True) for name, w in self.weights.items()}
        self.steps, self.l1, self.temperature = state["steps"], state["l1"], state["temperature"]
        self.dormant_gradients = state["dormant_gradients"]
        self.randomness.load_state_dict(state)

    def _check(self, masks: Mapping[str, Tensor]) -> None:
        if self.l1 < 0 or self.temperature < 0:
            raise TrainingError(f"DEEP R: l1 {self.l1} and temperature {self.temperature} must not be negative.")
        if self.dormant_gradients not in ("dense", "live"):
            raise TrainingError(f"DEEP R: dormant_gradients is {self.dormant_gradients!r}; allowed are 'dense' and 'live'.")
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


def learning_rates(optimizer: torch.optim.Optimizer) -> dict[Tensor, float]:
    """The learning rate of each parameter at this moment, that of its own group."""
    return {p: float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}


def random_walk(like: Float[Tensor, "..."], lr: float, temperature: float, generator: torch.Generator) -> Float[Tensor, "..."]:
    """sqrt(2 * lr * temperature) * N(0, 1) in the shape of `like`; draws nothing at temperature 0."""
    if not temperature:
        return torch.zeros_like(like)
    noise = torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)
    return math.sqrt(2 * lr * temperature) * noise


def restart_moments(optimizer: torch.optim.Optimizer, parameter: Tensor, entries: Bool[Tensor, "..."]) -> None:
    """Put the optimizer's moments of `entries` back to 0 (Adagrad's sum to its initial value).

    Moments are all tensors of the parameter's shape in its state, so this serves SGD's momentum, Adam, AdamW, RMSprop
    and Adagrad alike. Step counts, which belong to the whole parameter, go on.
    """
    group = next(group for group in optimizer.param_groups if any(p is parameter for p in group["params"]))
    for name, moment in optimizer.state.get(parameter, {}).items():
        if isinstance(moment, Tensor) and moment.shape == parameter.shape:
            moment.masked_fill_(entries, group.get("initial_accumulator_value", 0) if name == "sum" else 0)


def _digest(masks: Mapping[str, Shaped[Tensor, "_ _"]]) -> str:
    sha = hashlib.sha256()
    for name, mask in sorted(masks.items()):
        sha.update(f"{name}\0{tuple(mask.shape)}\0".encode())
        sha.update(np.packbits(mask.cpu().numpy()).tobytes())
    return sha.hexdigest()
