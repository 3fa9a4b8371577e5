"""Which synapses may exist, which are active at the start, and how many are active after each step of DEEP R."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from neuromorph.errors import TrainingError

Ramp: TypeAlias = Literal["linear", "cubic"]


@dataclass(frozen=True)
class ConnectivitySchedule:
    """Share of the allowed synapses that are active after each step: `initial` up to step `first`, `final` from step `last`.

    Between them density = final + (initial - final) * (1 - x)^p, x = (step - first) / (last - first), with p = 1
    ("linear") or p = 3 ("cubic": gradual pruning, Zhu & Gupta 2017, arXiv 1710.01878, eq. 1, there in sparsity
    1 - density). Steps count the updates done, so that step 0 is the start. `ConnectivitySchedule(p, p)` is constant.

    Raises:
        TrainingError: a density outside [0, 1], or steps other than 0 <= first < last while the density changes.
    """

    initial: float
    final: float
    first: int = 0
    last: int = 0
    ramp: Ramp = "linear"

    def __post_init__(self) -> None:
        for name in ("initial", "final"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"ConnectivitySchedule: {name} density is {getattr(self, name)}; it must be in [0, 1].")
        if self.initial != self.final and not 0 <= self.first < self.last:
            raise TrainingError(f"ConnectivitySchedule: steps first = {self.first}, last = {self.last}; need 0 <= first < last.")
        if self.ramp not in ("linear", "cubic"):
            raise TrainingError(f"ConnectivitySchedule: ramp is {self.ramp!r}; allowed are 'linear' and 'cubic'.")

    def density(self, step: int) -> float:
        """Share of active synapses after `step` updates."""
        if step >= self.last:
            return self.final
        if step <= self.first:
            return self.initial
        rest = 1 - (step - self.first) / (self.last - self.first)
        return self.final + (self.initial - self.final) * rest ** (1 if self.ramp == "linear" else 3)

    def count(self, step: int, n_allowed: int) -> int:
        """Active synapses after `step` updates out of `n_allowed`."""
        return round(self.density(step) * n_allowed)


def allowed_synapses(weights: Mapping[str, Num[Tensor, "_ _"]]) -> dict[str, Bool[Tensor, "_ _"]]:
    """Every entry, except that matrices whose name starts with "recurrent" have no autapses (their diagonal).

    Raises:
        TrainingError: such a matrix is not square.
    """
    allowed = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
    for name, mask in allowed.items():
        if name.startswith("recurrent"):
            if mask.shape[0] != mask.shape[1]:
                raise TrainingError(f"Matrix '{name}' has shape {tuple(mask.shape)}; a recurrent one is square. Give it another name.")
            mask.fill_diagonal_(False)
    return allowed


def draw_masks(
    allowed: Mapping[str, Bool[Tensor, "_ _"]], connectivity: float | Mapping[str, float], generator: torch.Generator
) -> dict[str, Bool[Tensor, "_ _"]]:
    """Exactly round(connectivity * allowed) synapses over all matrices together, uniformly, without replacement.

    With a mapping name -> connectivity, so many of each matrix.

    Raises:
        TrainingError: a connectivity outside (0, 1], or names that are not those of `allowed`.
    """
    if isinstance(connectivity, Mapping):
        if connectivity.keys() != allowed.keys():
            raise TrainingError(f"Connectivity is given for {sorted(connectivity)}, matrices are {sorted(allowed)}.")
        drawn = (draw_masks({name: mask}, connectivity[name], generator) for name, mask in allowed.items())
        return {name: mask for masks in drawn for name, mask in masks.items()}
    if not 0 < connectivity <= 1:
        raise TrainingError(f"Connectivity {connectivity} must be in (0, 1].")
    return choose(allowed, round(connectivity * count(allowed)), generator)


def count(masks: Mapping[str, Bool[Tensor, "_ _"]]) -> int:
    """Synapses over all matrices."""
    return sum(int(mask.sum()) for mask in masks.values())


def choose(candidates: Mapping[str, Bool[Tensor, "_ _"]], n: int, generator: torch.Generator) -> dict[str, Bool[Tensor, "_ _"]]:
    """n of the candidates, uniformly over all matrices, without replacement."""
    flat = torch.cat([mask.flatten() for mask in candidates.values()])
    places = flat.nonzero().squeeze(1)
    chosen = places[torch.randperm(len(places), generator=generator, device=generator.device)[:n].to(flat.device)]
    return _unflatten(chosen, candidates)


def weakest(strengths: Mapping[str, Num[Tensor, "_ _"]], n: int) -> dict[str, Bool[Tensor, "_ _"]]:
    """The n smallest positive strengths over all matrices; of equal ones those that come first."""
    flat = torch.cat([theta.flatten() for theta in strengths.values()])
    ascending = torch.sort(torch.where(flat > 0, flat, math.inf), stable=True).indices
    return _unflatten(ascending[:n], strengths)


def _unflatten(places: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks that are true at `places` of all matrices laid end to end."""
    sizes = [each.numel() for each in like.values()]
    flat = torch.zeros(sum(sizes), dtype=torch.bool, device=places.device)
    flat[places] = True
    return {name: part.view(each.shape) for (name, each), part in zip(like.items(), flat.split(sizes))}
