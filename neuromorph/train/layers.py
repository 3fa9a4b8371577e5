"""LSNN neurons as Norse's recurrent modules: a cell (one step) and a layer (over time)."""

import torch
from jaxtyping import Float
from norse.torch.module.snn import SNNRecurrent, SNNRecurrentCell
from torch import Tensor, nn
from torch.nn.functional import linear

from neuromorph.errors import TrainingError
from neuromorph.train.neurons import LSNNConstants, LSNNState, fire, lsnn_step, silence


class LSNNRecurrentCell(SNNRecurrentCell):
    """One step of an LSNN layer: spikes [batch, n_in] and state to spikes [batch, n] and state.

    Weights [n, n_in] and [n, n] (zero diagonal) are given or drawn from `generator` as N(0, 1) / sqrt(fan-in).
    """

    p: LSNNConstants
    input_weights: nn.Parameter
    recurrent_weights: nn.Parameter

    def __init__(
        self,
        input_size: int,
        p: LSNNConstants,
        *,
        generator: torch.Generator | None = None,
        input_weights: nn.Parameter | None = None,
        recurrent_weights: nn.Parameter | None = None,
        dt: float = 1e-3,
    ) -> None:
        super().__init__(
            activation=lsnn_step,  # pyright: ignore[reportArgumentType]
            state_fallback=self.initial_state,  # pyright: ignore[reportArgumentType]
            input_size=input_size,
            hidden_size=p.n,
            p=p,
            input_weights=weight_matrix("LSNN input", input_weights, (p.n, input_size), generator, p.v_th.dtype),
            recurrent_weights=weight_matrix("LSNN recurrence", recurrent_weights, (p.n, p.n), generator, p.v_th.dtype),
            dt=dt,
        )

    def initial_state(self, x: Float[Tensor, "*batch n_in"]) -> LSNNState:
        return silence(x.shape[:-1], self.p)


class LSNNRecurrent(SNNRecurrent):
    """An LSNN layer over time: spikes [time, batch, n_in] to spikes [time, batch, n] and the last state.

    Weights as in `LSNNRecurrentCell`. `record_states`: return the states of all steps [time, batch, n] instead of the last.
    """

    p: LSNNConstants
    input_weights: nn.Parameter
    recurrent_weights: nn.Parameter

    def __init__(
        self,
        input_size: int,
        p: LSNNConstants,
        *,
        generator: torch.Generator | None = None,
        input_weights: nn.Parameter | None = None,
        recurrent_weights: nn.Parameter | None = None,
        dt: float = 1e-3,
        record_states: bool = False,
    ) -> None:
        super().__init__(
            activation=lsnn_step,  # pyright: ignore[reportArgumentType]
            state_fallback=self.initial_state,  # pyright: ignore[reportArgumentType]
            input_size=input_size,
            hidden_size=p.n,
            p=p,
            input_weights=weight_matrix("LSNN input", input_weights, (p.n, input_size), generator, p.v_th.dtype),
            recurrent_weights=weight_matrix("LSNN recurrence", recurrent_weights, (p.n, p.n), generator, p.v_th.dtype),
            dt=dt,
            record_states=record_states,
        )

    def initial_state(self, x: Float[Tensor, "time *batch n_in"]) -> LSNNState:
        return silence(x.shape[1:-1], self.p)

    def forward(
        self, input_tensor: Float[Tensor, "time batch n_in"], state: LSNNState | None = None
    ) -> tuple[Float[Tensor, "time batch n"], LSNNState]:
        """The step of `lsnn_step` for all of `input_tensor`, with one matrix product for the input of the whole sequence."""
        return self.integrate(linear(input_tensor, self.input_weights), state)

    def integrate(
        self, drives: Float[Tensor, "time batch n"], state: LSNNState | None = None
    ) -> tuple[Float[Tensor, "time batch n"], LSNNState]:
        """The same from the weighted input of each step, which arrives one step later."""
        s = self.initial_state(drives) if state is None else state
        on, weights, states = self.p.active(), self.recurrent_weights.t(), list[LSNNState]()
        for drive in drives.unbind(0):
            s = fire(s, self.p, on)
            s = s._replace(drive=torch.addmm(drive, s.z, weights))
            states.append(s)
        z = torch.stack([each.z for each in states])
        return z, LSNNState(*(torch.stack(field) for field in zip(*states))) if self.record_states else s


def weight_matrix(
    owner: str, given: nn.Parameter | None, shape: tuple[int, int], generator: torch.Generator | None, dtype: torch.dtype
) -> nn.Parameter:
    """`given` after a check of its shape [n_target, n_source], or N(0, 1) / sqrt(n_source) drawn from `generator`."""
    if given is not None:
        if given.shape != shape:
            raise TrainingError(f"{owner}: weights have shape {tuple(given.shape)}; give [n_target, n_source] = {list(shape)}.")
        return given
    if generator is None:
        raise TrainingError(f"{owner}: neither weights nor a generator to draw them from; give one (torch.Generator().manual_seed(...)).")
    return nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype) / shape[1] ** 0.5)
