"""What plastic layers share: parameters, one differentiable step (the oracle), whole sequences, episodes with an environment inside."""

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from neuromorph.errors import TrainingError
from neuromorph.train.plastic.kernel import RULES, Form
from neuromorph.train.plastic.rules import Plasticity, update
from neuromorph.train.plastic.state import PlasticState
from neuromorph.train.plastic.tape import Parts, Tape

DTYPES = (torch.float32, torch.float64)


class PlasticCore(nn.Module, ABC):
    """`n` neurons with plastic synapses among them, driven by inputs x [B, n_in].

    Parameters: `input_weights` [g, n_in] and `bias` [g], g = n for each of the cell's paths; `recurrent_weights` w [n, n];
    `alpha` [n, n], [n, 1] or [1, 1]; `eta` [1, 1] or [n, n]; `modulator_weights` [n] and `modulator_bias` []; `fan_weights` [n]
    with `fan_bias` [n], or [n, n]; `gate_weights` [g - n, n]. A rule has those that it needs. Initial values are normal: inputs
    1 / sqrt(n_in), recurrent weights, gates and modulator 1 / sqrt(n), alpha `initial_alpha`, fan-out 1; biases are 0.

    `compiled`: plastic layers run on the kernels, CPU alone; otherwise, and on other devices, by PyTorch's loop, with equal results.
    """

    PATHS = 1

    def __init__(
        self,
        n_in: int,
        n: int,
        plasticity: Plasticity = Plasticity(),
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        compiled: bool = True,
    ) -> None:
        super().__init__()
        if n_in < 1 or n < 1:
            raise TrainingError(f"{type(self).__name__}: n_in is {n_in}, n is {n}; both must be at least 1.")
        self.n_in, self.n, self.plasticity, self.compiled = n_in, n, plasticity, compiled

        def normal(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator, dtype=dtype) * scale)

        self.input_weights = normal(self.PATHS * n, n_in, scale=1 / math.sqrt(n_in))
        self.bias = nn.Parameter(torch.zeros(self.PATHS * n, dtype=dtype))
        self.recurrent_weights = normal(n, n, scale=1 / math.sqrt(n))
        self.gate_weights = normal((self.PATHS - 1) * n, n, scale=1 / math.sqrt(n)) if self.PATHS > 1 else None
        wide = {"synapse": (n, n), "neuron": (n, 1), "one": (1, 1)}
        rule = plasticity
        self.alpha = normal(*wide[rule.alpha], scale=rule.initial_alpha) if rule.plastic else None
        self.eta = nn.Parameter(torch.full(wide[rule.eta], rule.initial_eta, dtype=dtype)) if rule.has_eta else None
        self.modulator_weights = normal(n, scale=1 / math.sqrt(n)) if rule.learns_modulator else None
        self.modulator_bias = nn.Parameter(torch.zeros((), dtype=dtype)) if rule.learns_modulator else None
        fan = {"fanout": (n,), "synapse": (n, n)}.get(rule.modulator) if rule.learns_modulator else None
        self.fan_weights = normal(*fan, scale=1.0) if fan else None
        self.fan_bias = nn.Parameter(torch.zeros(n, dtype=dtype)) if fan == (n,) else None

    @abstractmethod
    def initial_state(self, batch: int) -> Any:
        """The state before an episode: all zero."""

    @abstractmethod
    def _cell(
        self, state: Any, drive: Float[Tensor, "batch g"], recurrent: Float[Tensor, "batch n"], H: Tensor, E: Tensor
    ) -> tuple[Any, Float[Tensor, "batch n"]]:
        """The state after the step, still with the given H and E, and the postsynaptic factor."""

    @abstractmethod
    def _state(self, h: Tensor, c: Tensor, H: Tensor, E: Tensor) -> Any:
        """A state of its parts."""

    def _zeros(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Zero h, H, E."""
        n, rule, like = self.n, self.plasticity, self.recurrent_weights
        H, E = (like.new_zeros(batch, size, size) for size in (n * rule.plastic, n * rule.has_trace))
        return like.new_zeros(batch, n), H, E

    def step(
        self, x: Float[Tensor, "batch n_in"], state: Any, modulation: Float[Tensor, "batch"] | Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch n"], Any]:
        """h and the state after one step (eqs. 1-5), differentiable by autograd.

        The weight is w + alpha H with the H of before the step; H is updated from h_{t-1} and the new activations, E after H.

        Raises:
            TrainingError: `modulation` is missing where the modulator is "given", or there where it is not.
        """
        self.check(modulation is not None)
        H, E, before = state.H, state.E, state.h
        recurrent = linear(before, self.recurrent_weights)
        if self.alpha is not None:
            recurrent = recurrent + torch.bmm(before.unsqueeze(1), (self.alpha * H).transpose(1, 2)).squeeze(1)
        state, post = self._cell(state, linear(x, self.input_weights, self.bias), recurrent, H, E)
        H, E = update(self.plasticity.rule, H, E, before, post, self.eta, self._modulation(state.h, modulation), self.plasticity.clip)
        return state.h, state._replace(H=H, E=E)

    def check(self, given: bool) -> None:
        """Whether modulation is given just where the rule wants it.

        Raises:
            TrainingError: it is not.
        """
        wanted = self.plasticity.modulated and self.plasticity.modulator == "given"
        if given != wanted:
            raise TrainingError(f"{type(self).__name__}: modulation is {'needed' if wanted else 'not used'} with {self.plasticity}.")

    def _modulation(self, h: Tensor, given: Tensor | None) -> Tensor | None:
        """M [B, 1], [B, n] or, one a synapse, [B, n, n]."""
        if given is not None:
            return given.view(len(h), -1)
        if self.modulator_weights is None or self.modulator_bias is None:
            return None
        M = torch.tanh(h @ self.modulator_weights + self.modulator_bias).unsqueeze(1)
        if self.fan_weights is None:
            return M
        return M.unsqueeze(2) * self.fan_weights if self.fan_bias is None else M * self.fan_weights + self.fan_bias

    def forward(
        self,
        x: Float[Tensor, "time batch n_in"],
        state: Any = None,
        modulation: Float[Tensor, "time batch"] | Float[Tensor, "time batch n"] | None = None,
    ) -> tuple[Float[Tensor, "time batch n"], Any]:
        """Hidden states of every step and the last state; starts from `initial_state` where none is given."""
        self.check(modulation is not None)
        state = self.initial_state(x.shape[1]) if state is None else state
        if self.runs_compiled():
            drive, parts = linear(x, self.input_weights, self.bias), self.parts(state, modulation)
            tape = self.tape(len(x), parts)
            tape.advance(drive, parts.M if modulation is not None else None)
            return self.finished(tape, drive, parts)
        hidden = []
        for t, each in enumerate(x):
            h, state = self.step(each, state, None if modulation is None else modulation[t])
            hidden.append(h)
        return torch.stack(hidden), state

    def runs_compiled(self) -> bool:
        """Whether sequences run on the kernels; where nothing is plastic PyTorch is faster."""
        w = self.recurrent_weights
        return self.compiled and self.plasticity.plastic and w.device.type == "cpu" and w.dtype in DTYPES

    def tape(self, steps: int, parts: Parts) -> Tape:
        """A run of the kernels from the state in `parts`."""
        rule = self.plasticity
        form = Form(RULES[rule.rule], rule.modulator == "given", self.PATHS > 1, rule.wide)
        return Tape(form, rule.clip, steps, parts)

    def parts(self, state: PlasticState, modulation: Tensor | None = None) -> Parts:
        """State, parameters and given `modulation` [T, B] or [T, B, n] in the kernels' shapes."""
        n, w = self.n, self.recurrent_weights
        none, one = w.new_zeros(0, 0), w.new_ones(n)
        M = none
        if modulation is not None:
            M = (modulation if modulation.ndim == 3 else modulation.unsqueeze(2)).expand(-1, -1, n)
        rule, trace = self.plasticity, self.plasticity.has_trace
        by_synapse = self.fan_weights if rule.wide else None if trace else self.eta
        alpha, eta = (none if each is None else each.expand(n, n) for each in (self.alpha, by_synapse))
        return Parts(
            M,
            state.h,
            getattr(state, "c", state.h[:, :0]),
            state.H,
            state.E,
            w,
            w[:0] if self.gate_weights is None else self.gate_weights,
            alpha,
            eta,
            self.eta.reshape(()) if self.eta is not None and trace else w.new_zeros(()),
            one * 0 if self.modulator_weights is None else self.modulator_weights,
            w.new_zeros(()) if self.modulator_bias is None else self.modulator_bias,
            one if self.fan_weights is None or rule.wide else self.fan_weights,
            one * 0 if self.fan_bias is None else self.fan_bias,
        )

    def finished(self, tape: Tape, drive: Tensor, parts: Parts) -> tuple[Tensor, Any]:
        """Hidden states and last state of a run, with gradients."""
        hidden, c, H, E = tape.finish(drive, parts)
        return hidden, self._state(hidden[-1], c, H, E)

    def without_plasticity(self) -> "PlasticCore":
        """A copy in which nothing is plastic: what this network does where M or eta is 0, because H then stays 0."""
        rigid = replace(self.plasticity, rule="none", eta="one")
        generator, w = torch.Generator(), self.recurrent_weights
        copy = type(self)(self.n_in, self.n, rigid, generator=generator, dtype=w.dtype, compiled=self.compiled).to(w.device)
        kept = copy.state_dict().keys()
        copy.load_state_dict({name: value for name, value in self.state_dict().items() if name in kept})
        return copy

    @torch.no_grad()
    def constrain(self) -> None:
        """Put eta back into [0, 1], after an update by gradient."""
        if self.eta is not None:
            self.eta.clamp_(0, 1)
