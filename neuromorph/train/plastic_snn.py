"""A spiking network whose recurrent synapses learn while it runs, trained by gradient through that learning.

The step is that of exported graphs (Bellec 2018's LIF and ALIF with the threshold subtracted), the rules theirs (`graph.plasticity`,
Miconi et al. 2019 eqs. 2-5 made spiking): presynaptic trace times postsynaptic spike, written into H by a third factor. The network runs in
blocks of `steps` steps, in which its input spikes are the same. A third factor that is given comes at the last step of a block: with the
retroactive rule H is then one matrix within it, and the rank-one terms of E are one product. A `modulator` of the network's own, a
leaky readout of input spikes, is a third factor at every step instead.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import hardtanh

from neuromorph.errors import TrainingError
from neuromorph.graph.plasticity import PlasticityRule
from neuromorph.train.surrogate import bellec


@dataclass(frozen=True)
class PlasticSNNConfig:
    """`n` neurons, the first `n_adaptive` of which adapt their threshold; `steps` of `dt` [s] a block; time constants [s].

    `rule`: see `graph.plasticity`. `tau_e`: of the eligibility, eta = 1 - exp(-dt / tau_e), which also is the rate of the hebbian rule;
    eta is trained from there with `train_eta`. `post_offset` is taken from the postsynaptic spike. `clip`: bound of |H|, `third_limit` of
    the third factor. `plastic`: without it H stays 0. `alpha`: one a "synapse", a postsynaptic "neuron", or "one" for all, which is what
    Loihi's own rules have (its value then starts at `alpha_scale`). `modulator`: where it is not 0, the third factor is a trained leaky
    readout (`tau_mod`) of so many of the last input channels, which starts at 0: a network that cannot use it yet is not disturbed. It
    must not see what is always active, for a constant third factor writes noise. Initial standard deviations: of inputs `input_scale` /
    sqrt(n_in / 2), of recurrent weights `recurrent_scale` / sqrt(n), of alpha `alpha_scale`.

    Raises:
        TrainingError: a number out of its range.
    """

    n: int = 64
    n_adaptive: int = 0
    steps: int = 4
    dt: float = 1e-3
    tau_m: float = 20e-3
    tau_out: float = 10e-3
    tau_pre: float = 5e-3
    tau_e: float = 20e-3
    tau_a: float = 100e-3
    tau_mod: float = 5e-3
    beta: float = 1.0
    v_th: float = 1.0
    post_offset: float = 0.1
    clip: float = 1.0
    third_limit: float = 4.0
    plastic: bool = True
    rule: PlasticityRule = "retroactive"
    train_eta: bool = False
    alpha: Literal["synapse", "neuron", "one"] = "synapse"
    modulator: int = 0
    gamma: float = 0.3
    input_scale: float = 8.0
    recurrent_scale: float = 4.0
    alpha_scale: float = 1.0

    def __post_init__(self) -> None:
        times = (self.dt, self.tau_m, self.tau_out, self.tau_pre, self.tau_e, self.tau_a, self.tau_mod)
        if self.n < 1 or self.steps < 2 or not 0 <= self.n_adaptive <= self.n:
            raise TrainingError(f"{self}: n is 1 or more, steps are 2 or more, n_adaptive is at most n.")
        if min(*times, self.v_th, self.clip, self.third_limit) <= 0:
            raise TrainingError(f"{self}: dt, time constants, v_th, clip and third_limit must be positive.")
        if self.modulator < 0 or (self.modulator and not self.plastic):
            raise TrainingError(f"{self}: modulator counts channels, 0 or more, and needs plastic synapses to act on.")
        if self.modulator and self.rule == "hebbian":
            raise TrainingError(f"{self}: the hebbian rule has no third factor, so no modulator.")

    def decay(self, tau: float) -> float:
        """exp(-dt / tau)."""
        return math.exp(-self.dt / tau)


class PlasticState(NamedTuple):
    """Spikes z, potential v, adaptation a, the threshold that v was held against, presynaptic trace p [B, n]; readout y [B, n_out]; input
    spikes x of the step before [B, n_in]; plastic part H and eligibility E [B, n, n] (row: target); the modulator's readout m [B, 1].
    """

    z: Tensor
    v: Tensor
    a: Tensor
    theta: Tensor
    p: Tensor
    y: Tensor
    x: Tensor
    H: Tensor
    E: Tensor
    m: Tensor


class PlasticSNN(nn.Module):
    """Trained: `w_in` [n, n_in], `w` [n, n], `alpha` [n, n], [n, 1] or [1, 1], `w_out` [n_out, n], `bias` [n_out] of the leaky readout;
    where asked for, `w_mod` [1, modulator] and `trained_eta` [].
    """

    decay_a: Tensor
    kappa: Tensor

    def __init__(self, config: PlasticSNNConfig, n_in: int, n_out: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.n_in, self.n_out, n = config, n_in, n_out, config.n

        def drawn(rows: int, columns: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns, generator=generator) * scale)

        self.w_in = drawn(n, n_in, config.input_scale / math.sqrt(n_in / 2))
        self.w = drawn(n, n, config.recurrent_scale / math.sqrt(n))
        one = torch.full((1, 1), config.alpha_scale)
        columns = n if config.alpha == "synapse" else 1
        self.alpha = nn.Parameter(one) if config.alpha == "one" else drawn(n, columns, config.alpha_scale)
        self.w_out = drawn(n_out, n, 0.3 / math.sqrt(n))
        self.bias = nn.Parameter(torch.zeros(n_out))
        if config.modulator:
            self.w_mod = nn.Parameter(torch.zeros(1, config.modulator))
        if config.train_eta:
            self.trained_eta = nn.Parameter(torch.tensor(1 - config.decay(config.tau_e)))
        adaptive = torch.arange(n) < config.n_adaptive
        self.register_buffer("kappa", adaptive * config.beta * (1 - config.decay(config.tau_a)))
        self.spike = bellec(config.gamma)

    @property
    def eta(self) -> Tensor | float:
        """Rate of E, and of the hebbian rule."""
        return self.trained_eta if self.config.train_eta else 1 - self.config.decay(self.config.tau_e)

    def constrain(self) -> None:
        """Call after every update: eta stays from 0 to 1."""
        if self.config.train_eta:
            with torch.no_grad():
                self.trained_eta.clamp_(0.0, 1.0)

    def initial_state(self, batch: int) -> PlasticState:
        """All zero, as every simulator starts a sample."""
        n, like = self.config.n, self.w
        z, y, x = (like.new_zeros(batch, size) for size in (n, self.n_out, self.n_in))
        H = like.new_zeros(batch, n, n)
        return PlasticState(z, z, z, torch.full_like(z, self.config.v_th), z, y, x, H, H, like.new_zeros(batch, 1))

    def block(
        self, x: Float[Tensor, "batch n_in"], state: PlasticState, third: Float[Tensor, " batch"] | None = None
    ) -> tuple[Float[Tensor, "batch n_out"], PlasticState, Float[Tensor, "steps batch n"]]:
        """`steps` steps with input spikes `x` at each, the `third` factor at the last (None: 0; not used with a modulator). The readout
        and the state after it, and the spikes of every step.
        """
        c, spikes, traces, drive = self.config, list[Tensor](), list[Tensor](), state.x @ self.w_in.t()
        at_end = c.rule == "retroactive" and not c.modulator  # H is the same throughout the block
        weights = self._weights(state.H)
        for step in range(c.steps):
            arrived = x if step else state.x
            state = self._neurons(state, drive + torch.bmm(state.z.unsqueeze(1), weights).squeeze(1))
            spikes.append(state.z)
            traces.append(state.p)
            if c.plastic and not at_end:
                state = self._learn_step(state, arrived, third if step == c.steps - 1 else None)
                weights = self._weights(state.H)
            if step == 0:
                drive = x @ self.w_in.t()
        z_all = torch.stack(spikes)
        if c.plastic and at_end:
            state = self._learn_block(state, z_all - c.post_offset, torch.stack(traces), third)
        return state.y, state._replace(x=x), z_all

    def _weights(self, H: Tensor) -> Tensor:
        """Recurrent weights of every sample [B, n (source), n]."""
        return (self.w + self.alpha * H).transpose(1, 2) if self.config.plastic else self.w.t().expand(len(H), -1, -1)

    def _neurons(self, state: PlasticState, current: Tensor) -> PlasticState:
        """One step of neurons, traces and readout."""
        c, z = self.config, state.z
        decay_v, decay_a, decay_p, decay_y = (c.decay(tau) for tau in (c.tau_m, c.tau_a, c.tau_pre, c.tau_out))
        y = decay_y * state.y + z @ self.w_out.t() + self.bias
        p = decay_p * state.p + z
        a = decay_a * state.a + self.kappa * z
        v = decay_v * state.v + (1 - decay_v) * current - z * state.theta
        theta = c.v_th + a
        return state._replace(z=self.spike(v, theta), v=v, a=a, theta=theta, p=p, y=y)

    def _learn_step(self, state: PlasticState, arrived: Tensor, third: Tensor | None) -> PlasticState:
        """H and E after a step, by the modulator's readout of what `arrived` or by the `third` factor that is given."""
        c = self.config
        pairs = (state.z - c.post_offset).unsqueeze(2) * state.p.unsqueeze(1)
        m = c.decay(c.tau_mod) * state.m + arrived[:, -c.modulator :] @ self.w_mod.t() if c.modulator else state.m
        given = m[:, 0] if c.modulator else third
        if c.rule == "hebbian":
            return state._replace(H=hardtanh(state.H + self.eta * pairs, -c.clip, c.clip))
        H = state.H if given is None else self._written(state.H, given, state.E if c.rule == "retroactive" else pairs)
        E = (1 - self.eta) * state.E + self.eta * pairs if c.rule == "retroactive" else state.E
        return state._replace(m=m, H=H, E=E)

    def _learn_block(self, state: PlasticState, q: Tensor, p: Tensor, third: Tensor | None) -> PlasticState:
        """H by the third factor of the last step and the E before it; E after it."""
        keep, first = 1 - self.eta, self.config.steps - 1
        ages = torch.arange(first - 1, -1, -1, dtype=q.dtype)
        weighted = q[:first] * (self.eta * keep**ages)[:, None, None]
        E = keep**first * state.E + torch.bmm(weighted.permute(1, 2, 0), p[:first].transpose(0, 1))
        H = state.H if third is None else self._written(state.H, third, E)
        return state._replace(H=H, E=keep * E + self.eta * q[-1].unsqueeze(2) * p[-1].unsqueeze(1))

    def _written(self, H: Tensor, third: Tensor, change: Tensor) -> Tensor:
        """clip(H + M change), M within its limit."""
        limit, clip = self.config.third_limit, self.config.clip
        return hardtanh(H + hardtanh(third, -limit, limit)[:, None, None] * change, -clip, clip)


def signs_of(x: Float[Tensor, "*batch n"]) -> Bool[Tensor, "*batch twice_n"]:
    """Signed values as spikes of two channels each: where positive, where negative."""
    return torch.cat([x > 0, x < 0], -1)
