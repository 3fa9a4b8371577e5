"""What a run asks of a network and of its DEEP R, whether synapses are kept as matrices or the live ones alone."""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.network import LSNN
from neuromorph.train.rewiring import Rewiring
from neuromorph.train.sparse_deep_r import SparseDeepR
from neuromorph.train.sparse_network import SparseLSNN

Network: TypeAlias = LSNN | SparseLSNN
"""`deep_r.storage` "matrix" or "live". Both have `decide`, `frames`, `forward`, `n_in`, `n_out`, `dt`, `config`."""

Rewired: TypeAlias = Rewiring | SparseDeepR
"""The optimizer under DEEP R of either. Both have `optimizer`, `signs`, `zero_grad`, `step`, `digest`, `state_dict`, `load_state_dict`."""

PARTS = ("source", "target", "strength")
"""What changes of live synapses."""


def n_live(model: Network) -> int:
    """Live synapses over all projections."""
    if isinstance(model, SparseLSNN):
        return sum(len(projection.source) for projection in model.projections().values())
    return sum(int(weights.count_nonzero()) for weights in model.weights().values())


def active(model: Network, signs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Where each matrix of which `signs` are kept has synapses [n_target, n_source]; nothing for live ones alone."""
    return {name: signs[name] * weights.detach() > 0 for name, weights in _held(model).items() if name in signs}


def synapses(model: Network) -> dict[str, Tensor]:
    """Copies of what DEEP R changes: matrices by name ("input"), or "input.source", "input.target", "input.strength", ..."""
    return {name: tensor.detach().clone() for name, tensor in _held(model).items()}


@torch.no_grad()
def put_synapses(model: Network, kept: Mapping[str, Tensor]) -> None:
    """Put back what `synapses` gave.

    Raises:
        TrainingError: names or shapes are others, or pairs and strengths impossible.
    """
    held = _held(model)
    if {name: t.shape for name, t in kept.items()} != {name: t.shape for name, t in held.items()}:
        raise TrainingError(f"Synapses: {sorted(kept)} do not have the names and shapes of the model's, {sorted(held)}.")
    for name, tensor in held.items():
        tensor.copy_(kept[name])
    if isinstance(model, SparseLSNN):
        model.check()


def _held(model: Network) -> dict[str, Tensor]:
    if isinstance(model, SparseLSNN):
        return {f"{name}.{part}": getattr(projection, part) for name, projection in model.projections().items() for part in PARTS}
    return dict(model.weights())
