"""Losses of an LSNN: what the readout says at the end, and how much the neurons fire."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuromorph.errors import TrainingError


def mean_readout(y: Float[Tensor, "steps batch classes"], window: int) -> Float[Tensor, "batch classes"]:
    """Readout averaged over the last `window` steps; its largest entry is the decision.

    Raises:
        TrainingError: window outside 1 .. steps.
    """
    if not 1 <= window <= len(y):
        raise TrainingError(f"Readout window of {window} steps; allowed 1..{len(y)}.")
    return y[-window:].mean(0)


def readout_cross_entropy(y: Float[Tensor, "steps batch classes"], labels: Int[Tensor, " batch"], window: int) -> Float[Tensor, ""]:
    """Cross entropy [nat] of the averaged readout as logits (Bellec et al. 2018, supplement on sequential MNIST)."""
    return torch.nn.functional.cross_entropy(mean_readout(y, window), labels)


def rate_regulariser(z: Float[Tensor, "steps batch neurons"], target_hz: float, dt: float) -> Float[Tensor, ""]:
    """sum_j (mean over steps and batch of z_j - f0)^2, rates in spikes per step, f0 = target_hz * dt (dt in s).

    A sum over neurons, as in Bellec et al. 2018: it grows with the network.
    """
    return (z.mean((0, 1)) - target_hz * dt).square().sum()
