"""LSNN neurons as Norse's recurrent modules: a cell (one step) and a layer (over time)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from norse.torch.module.snn import SNNRecurrent, SNNRecurrentCell
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.train.delays import by_delay, longest, send
from neuromorph.train.neurons import LSNNConstants, LSNNState, check_state, fire, lsnn_step, post, silence


class LSNNRecurrentCell(SNNRecurrentCell):
    """One step of an LSNN layer: spikes [batch, n_in] and state to spikes [batch, n] and state.

    Weights [n, n_in] and [n, n] (zero diagonal) are given or drawn from `generator` as N(0, 1) / sqrt(fan-in).
    `input_delays` [n, n_in], `recurrent_delays` [n, n]: int64 steps, 1 or more, of every synapse; None: one step. What is
    on its way travels in the state, see `LSNNState`.
    """

    p: LSNNConstants
    input_weights: nn.Parameter
    recurrent_weights: nn.Parameter
    input_delays: Tensor | None
    recurrent_delays: Tensor | None

    def __init__(
        self,
        input_size: int,
        p: LSNNConstants,
        *,
        generator: torch.Generator | None = None,
        input_weights: nn.Parameter | None = None,
        recurrent_weights: nn.Parameter | None = None,
        input_delays: Int[Tensor, "n n_in"] | None = None,
        recurrent_delays: Int[Tensor, "n n"] | None = None,
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
        self.register_buffer("input_delays", delay_matrix("LSNN input", input_delays, (p.n, input_size)))
        self.register_buffer("recurrent_delays", delay_matrix("LSNN recurrence", recurrent_delays, (p.n, p.n)))

    def initial_state(self, x: Float[Tensor, "*batch n_in"]) -> LSNNState:
        return silence(x.shape[:-1], self.p, max(longest(self.input_delays), longest(self.recurrent_delays)))

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_tensor: Float[Tensor, "*batch n_in"], state: LSNNState | None = None
    ) -> tuple[Float[Tensor, "*batch n"], LSNNState]:
        """`lsnn_step` with this cell's weights and delays."""
        state = self.initial_state(input_tensor) if state is None else state
        delays = {"input_delays": self.input_delays, "recurrent_delays": self.recurrent_delays}
        return lsnn_step(input_tensor, state, self.input_weights, self.recurrent_weights, self.p, self.dt, **delays)


class LSNNRecurrent(SNNRecurrent):
    """An LSNN layer over time: spikes [time, batch, n_in] to spikes [time, batch, n] and the last state.

    Weights and delays as in `LSNNRecurrentCell`. `record_states`: return the states of all steps [time, batch, n] instead of the last.
    """

    p: LSNNConstants
    input_weights: nn.Parameter
    recurrent_weights: nn.Parameter
    input_delays: Tensor | None
    recurrent_delays: Tensor | None

    def __init__(
        self,
        input_size: int,
        p: LSNNConstants,
        *,
        generator: torch.Generator | None = None,
        input_weights: nn.Parameter | None = None,
        recurrent_weights: nn.Parameter | None = None,
        input_delays: Int[Tensor, "n n_in"] | None = None,
        recurrent_delays: Int[Tensor, "n n"] | None = None,
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
        self.register_buffer("input_delays", delay_matrix("LSNN input", input_delays, (p.n, input_size)))
        self.register_buffer("recurrent_delays", delay_matrix("LSNN recurrence", recurrent_delays, (p.n, p.n)))

    def initial_state(self, x: Float[Tensor, "time *batch n_in"]) -> LSNNState:
        return silence(x.shape[1:-1], self.p, max(longest(self.input_delays), longest(self.recurrent_delays)))

    def forward(
        self, input_tensor: Float[Tensor, "time batch n_in"], state: LSNNState | None = None
    ) -> tuple[Float[Tensor, "time batch n"], LSNNState]:
        """The step of `lsnn_step` for all of `input_tensor`, with one matrix product for the input of the whole sequence."""
        return self._collect(self.states(send(input_tensor, by_delay(self.input_weights, self.input_delays)), state))

    def integrate(
        self, drives: Float[Tensor, "time batch n"], state: LSNNState | None = None
    ) -> tuple[Float[Tensor, "time batch n"], LSNNState]:
        """The same from what is sent from outside in each step and arrives one step later (`input_delays` are not used)."""
        return self._collect(self.states(drives.unsqueeze(-2), state))

    def states(self, sent: Float[Tensor, "time batch delay n"], state: LSNNState | None = None) -> Iterator[LSNNState]:
        """The state after each step, from what is sent from outside in each step, by its delay 1, 2, ..."""
        s = self.initial_state(sent[..., 0, :]) if state is None else state
        check_state(s, max(longest(self.input_delays), longest(self.recurrent_delays)))
        c, form = self.p.values(), self.p.form
        on, matrices = c.active(), by_delay(self.recurrent_weights, self.recurrent_delays)
        for each in sent.unbind(0):
            s = fire(s, c, on, form)
            s = post(s, each, send(s.z, matrices))
            yield s

    def _collect(self, states: Iterator[LSNNState]) -> tuple[Tensor, LSNNState]:
        spikes, kept = list[Tensor](), list[LSNNState]()
        for s in states:
            spikes.append(s.z)
            if not self.record_states:
                kept.clear()
            kept.append(s)
        return torch.stack(spikes), LSNNState(*(torch.stack(field) for field in zip(*kept))) if self.record_states else kept[-1]


def delay_matrix(owner: str, given: Tensor | None, shape: tuple[int, int]) -> Tensor | None:
    """`given` after a check: int64 steps [n_target, n_source], 1 or more."""
    if given is not None and (given.shape != shape or given.dtype != torch.int64 or int(given.min()) < 1):
        found = f"{given.dtype} {list(given.shape)}, at least {given.min()}"
        raise TrainingError(f"{owner}: delays are {found}; give int64 [n_target, n_source] = {list(shape)}, every one 1 step or more.")
    return given


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
