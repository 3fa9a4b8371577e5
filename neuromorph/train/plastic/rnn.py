"""The recurrent tanh network of Backpropamine (Miconi et al. 2019, eq. 1)."""

import torch
from jaxtyping import Float
from torch import Tensor

from neuromorph.train.plastic.core import PlasticCore
from neuromorph.train.plastic.state import PlasticRNNState


class PlasticRNN(PlasticCore):
    """h_t = tanh(W_in x_t + b + (w + alpha H) h_{t-1}); plasticity between h_{t-1} and h_t."""

    def initial_state(self, batch: int) -> PlasticRNNState:
        return PlasticRNNState(*self._zeros(batch))

    def _cell(
        self, state: PlasticRNNState, drive: Float[Tensor, "batch g"], recurrent: Float[Tensor, "batch n"], H: Tensor, E: Tensor
    ) -> tuple[PlasticRNNState, Float[Tensor, "batch n"]]:
        h = torch.tanh(drive + recurrent)
        return PlasticRNNState(h, H, E), h

    def _state(self, h: Tensor, c: Tensor, H: Tensor, E: Tensor) -> PlasticRNNState:
        return PlasticRNNState(h, H, E)
