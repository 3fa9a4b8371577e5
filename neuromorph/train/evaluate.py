"""How good a network is on one part of the data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from neuromorph.dataset import Samples
from neuromorph.graph.populations import Values
from neuromorph.train.storage import Network

BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (share of samples), cross entropy [nat] and mean hidden firing rate [Hz]."""

    accuracy: float
    loss: float
    rate_hz: float


BatchInput: TypeAlias = Bool[Tensor, "steps batch n_in"] | Float32[Tensor, "steps batch n_in"]


def batch_of(part: Samples, chosen: Values, device: torch.device) -> tuple[BatchInput, Int64[Tensor, " batch"]]:
    """Input (spikes as booleans, or analog numbers) and labels of the chosen samples on a device."""
    labels = part.labels[np.asarray(chosen, dtype=np.int64)]
    return torch.from_numpy(part.dense(chosen)).to(device), torch.from_numpy(labels).to(device)


@torch.no_grad()
def evaluate(
    model: Network, part: Samples, window: int, logit_scale: float = 1.0, *, between: Callable[[], None] = lambda: None
) -> Evaluation:
    """The model on one part of the data. The decision is the largest readout averaged over the last `window` steps.

    `between` is called after each batch and may raise to stop.
    """
    device = model.readout.decay_v.device
    correct = loss = spikes = 0.0
    for first in range(0, len(part), BATCH):
        x, labels = batch_of(part, np.arange(first, min(first + BATCH, len(part))), device)
        decision = model.decide(x, window)
        correct += int((decision.logits.argmax(1) == labels).sum())
        loss += float(cross_entropy(logit_scale * decision.logits, labels)) * len(labels)
        spikes += float(decision.rates.mean()) * len(labels)
        between()
    n = max(len(part), 1)
    return Evaluation(correct / n, loss / n, spikes / n / model.dt)
