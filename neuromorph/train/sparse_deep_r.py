"""DEEP R for projections that store live synapses only (Bellec et al. 2018, arXiv 1711.05136, algorithm 1)."""

import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.rewiring import NEWBORN, Randomness, learning_rates, random_walk, restart_moments
from neuromorph.train.sparse import SparseSynapses, draw_pairs


class SparseDeepR:
    """Wraps any torch optimizer over `SparseSynapses`; each projection keeps its number of synapses exactly.

    The rule is `DeepR`'s with `constraint="projection"` and `dormant_gradients="live"`, which sparse storage implies:
    the optimizer's step, the decoupled L1 pull and noise, then every synapse with theta <= 0 is replaced by a pair drawn
    uniformly from those that are not live (the lost ones included), with theta = 1e-12. Its moments restart from zero.

    Args:
        optimizer: holds `strength` of every projection among its parameters.
        synapses: name -> projection.
        generator, seed, l1, temperature: as `DeepR`.

    Raises:
        TrainingError: an option is out of range, or the optimizer lacks a projection's strength.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        synapses: Mapping[str, SparseSynapses],
        *,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        l1: float = 0.0,
        temperature: float = 0.0,
    ) -> None:
        if l1 < 0 or temperature < 0:
            raise TrainingError(f"Sparse DEEP R: l1 {l1} and temperature {temperature} must not be negative.")
        held = learning_rates(optimizer)
        for name, projection in synapses.items():
            if projection.strength not in held:
                raise TrainingError(f"Sparse DEEP R: the optimizer does not hold the strength of '{name}'; give it the model's parameters.")
        self.optimizer = optimizer
        self.synapses = dict(synapses)
        self.randomness = Randomness(generator, seed)
        self.l1 = l1
        self.temperature = temperature
        self.steps = 0

    @property
    def n_active(self) -> int:
        """Live synapses over all projections; never changes."""
        return sum(len(projection.source) for projection in self.synapses.values())

    @property
    def signs(self) -> dict[str, Tensor]:
        """Fixed signs kept here: none. The projections know theirs."""
        return {}

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what the wrapped optimizer's step returns.

        Raises:
            TrainingError: a strength is no longer finite.
        """
        loss = self.optimizer.step(closure)
        self.steps += 1
        generator, rates = self.randomness.at(self.steps), learning_rates(self.optimizer)
        for name, projection in self.synapses.items():
            theta, lr = projection.strength, rates[projection.strength]
            theta += random_walk(theta, lr, self.temperature, generator) - lr * self.l1
            if not torch.isfinite(theta).all():
                raise TrainingError(f"Sparse DEEP R: strengths of '{name}' are not finite; lower the learning rate or clip gradients.")
            self._replace(projection, theta <= 0, generator)
        return loss

    def _replace(self, projection: SparseSynapses, lost: Tensor, generator: torch.Generator) -> None:
        live = projection.codes[~lost].sort().values
        sizes = projection.n_source, projection.n_target
        codes = draw_pairs(*sizes, int(lost.sum()), live, generator, autapses=projection.autapses)
        projection.source[lost] = (codes % projection.n_source).int()
        projection.target[lost] = (codes // projection.n_source).int()
        projection.strength.masked_fill_(lost, NEWBORN)
        restart_moments(self.optimizer, projection.strength, lost)

    def digest(self) -> str:
        """Hex SHA-256 of the sorted live pairs of all projections, by name: equal on all processes of a distributed run."""
        sha = hashlib.sha256()
        for name, projection in sorted(self.synapses.items()):
            sha.update(f"{name}\0{projection.n_target, projection.n_source}\0".encode())
            sha.update(projection.codes.sort().values.cpu().numpy().tobytes())
        return sha.hexdigest()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on identically (pairs and strengths are the modules' to save)."""
        return {
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "digest": self.digest(),
            "steps": self.steps,
            "l1": self.l1,
            "temperature": self.temperature,
            **self.randomness.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; the modules must have been restored before.

        Raises:
            TrainingError: the live pairs are not those with which the state was saved.
        """
        if self.digest() != state["digest"]:
            raise TrainingError("Sparse DEEP R: the state belongs to other live synapses than those held; restore the modules first.")
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.steps, self.l1, self.temperature = state["steps"], state["l1"], state["temperature"]
        self.randomness.load_state_dict(state)
