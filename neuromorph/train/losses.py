"""Losses of an LSNN: what the readout says at the end or in every step, how much neurons fire, how far potentials stray."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuromorph.errors import TrainingError


def mean_readout(y: Float[Tensor, "steps batch classes"], window: int) -> Float[Tensor, "batch classes"]:
    """Readout averaged over the last `window` steps; its largest entry is the decision.

    Raises:
        TrainingError: window outside 1 .. steps.
    """
    check_window(window, len(y))
    return y[-window:].mean(0)


def check_window(window: int, steps: int) -> None:
    """Whether a sequence of so many steps has a last `window`."""
    if not 1 <= window <= steps:
        raise TrainingError(f"Readout window of {window} steps; allowed 1..{steps}.")


def readout_cross_entropy(y: Float[Tensor, "steps batch classes"], labels: Int[Tensor, " batch"], window: int) -> Float[Tensor, ""]:
    """Cross entropy [nat] of the averaged readout as logits (Bellec et al. 2018, supplement on sequential MNIST)."""
    return torch.nn.functional.cross_entropy(mean_readout(y, window), labels)


def rate_regulariser(z: Float[Tensor, "steps batch neurons"], target_hz: float, dt: float) -> Float[Tensor, ""]:
    """sum_j (mean over steps and batch of z_j - f0)^2, rates in spikes per step, f0 = target_hz * dt (dt in s).

    A sum over neurons, as in Bellec et al. 2018: it grows with the network.
    """
    return (z.mean((0, 1)) - target_hz * dt).square().sum()


def overshoots(v: Float[Tensor, "steps batch neurons"], theta: Float[Tensor, "steps batch neurons"]) -> Float[Tensor, " neurons"]:
    """How far each potential leaves -theta..theta: mean over steps and batch of relu(v - theta)^2 + relu(-v - theta)^2."""
    return ((v - theta).relu().square() + (-v - theta).relu().square()).mean((0, 1))


def voltage_regulariser(v: Float[Tensor, "steps batch neurons"], theta: Float[Tensor, "steps batch neurons"]) -> Float[Tensor, ""]:
    """sum_j of `overshoots`, in squared units of v: keeps potentials where the surrogate is not zero.

    The term is that of the Atari code published with Bellec et al. 2020 (e-prop, Nat. Commun. 11:3625), where the adaptive
    threshold bounds v on both sides too. What differs: a mean over steps and batch and a sum over neurons, like
    `rate_regulariser`, where the code sums over steps; and BPTT, through v and theta. The paper's own equation was not compared.
    """
    return overshoots(v, theta).sum()


def frame_cross_entropy(
    y: Float[Tensor, "steps batch classes"], labels: Int[Tensor, "steps batch"], mask: Bool[Tensor, "steps batch"] | None = None
) -> Float[Tensor, ""]:
    """Cross entropy [nat] of the readout of every step as logits, mean over the frames where `mask` is true (default: all).

    Labels of frames that do not count (padding) may be anything.

    Raises:
        TrainingError: the mask leaves no frame.
    """
    if mask is None:
        return torch.nn.functional.cross_entropy(y.flatten(0, 1), labels.flatten())
    if not mask.any():
        raise TrainingError("frame_cross_entropy: the mask leaves no frame; leave out samples without any.")
    return torch.nn.functional.cross_entropy(y[mask], labels[mask])
