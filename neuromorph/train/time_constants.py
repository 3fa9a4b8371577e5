"""Trainable time constants that stay between two bounds."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from neuromorph.errors import TrainingError


class BoundedTimes(nn.Module):
    """Time constants [n] in seconds, tau = low (high / low)^sigmoid(raw); `raw` [n] is the parameter.

    Equal steps of `raw` around 0 multiply tau by about equal factors, and no update leaves the bounds. Time constants of
    each neuron's own are trained by Yin, Corradi and Bohte 2021 (Nat. Mach. Intell. 3); they are not bounded there.

    Raises:
        TrainingError: bounds that are not 0 < low < high, or a start [s] that is not strictly between them.
    """

    raw: nn.Parameter

    def __init__(
        self, name: str, start: Float64[np.ndarray, " n"], bounds: tuple[float, float], *, dt: float, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        low, high = bounds
        if not 0 < low < high:
            raise TrainingError(f"Learned {name}: bounds are {bounds}; give 0 < low < high in seconds.")
        if not np.all((low < start) & (start < high)):
            found = f"{start.min():g}..{start.max():g}"
            raise TrainingError(
                f"Learned {name}: it starts at {found} s, not strictly between its bounds {low:g} and {high:g} s; widen them."
            )
        self.low, self.high, self.dt = low, high, dt
        share = np.log(start / low) / np.log(high / low)
        self.raw = nn.Parameter(torch.as_tensor(np.log(share / (1 - share))).to(dtype))

    def tau(self) -> Float[Tensor, " n"]:
        """Time constants [s]."""
        return self.low * (self.high / self.low) ** torch.sigmoid(self.raw)

    def decay(self) -> Float[Tensor, " n"]:
        """Factor of a step, exp(-dt / tau)."""
        return torch.exp(-self.dt / self.tau())

    def rise(self) -> Float[Tensor, " n"]:
        """1 - decay, without cancellation."""
        return -torch.expm1(-self.dt / self.tau())

    def extra_repr(self) -> str:
        return f"n={len(self.raw)}, bounds=({self.low:g}, {self.high:g}) s"
