"""An LSTM whose path from the hidden state to the candidate is plastic (Miconi et al. 2019, section 4.3)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from neuromorph.train.plastic.core import PlasticCore
from neuromorph.train.plastic.state import PlasticLSTMState


class PlasticLSTM(PlasticCore):
    """g = tanh(W_g x + b_g + (w + alpha H) h_{t-1});  i, f, o = sigmoid(W x + b + U h_{t-1});  c = f c + i g;  h = o tanh(c).

    Plasticity is between h_{t-1} and g. Rows of `input_weights` and `bias`: candidate g, then input, forget and output gate;
    of `gate_weights`: the three gates.
    """

    PATHS = 4

    def initial_state(self, batch: int) -> PlasticLSTMState:
        h, H, E = self._zeros(batch)
        return PlasticLSTMState(h, torch.zeros_like(h), H, E)

    def _cell(
        self, state: PlasticLSTMState, drive: Float[Tensor, "batch g"], recurrent: Float[Tensor, "batch n"], H: Tensor, E: Tensor
    ) -> tuple[PlasticLSTMState, Float[Tensor, "batch n"]]:
        assert self.gate_weights is not None
        candidate = torch.tanh(drive[:, : self.n] + recurrent)
        gates = torch.sigmoid(drive[:, self.n :] + linear(state.h, self.gate_weights))
        into, keep, out = gates.chunk(3, dim=1)
        c = keep * state.c + into * candidate
        return PlasticLSTMState(out * torch.tanh(c), c, H, E), candidate

    def _state(self, h: Tensor, c: Tensor, H: Tensor, E: Tensor) -> PlasticLSTMState:
        return PlasticLSTMState(h, c, H, E)
