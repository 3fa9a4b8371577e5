"""A spiking network whose recurrent synapses learn while it runs, trained by gradient through that learning.

The step is that of exported graphs (Bellec 2018's LIF and ALIF with the threshold subtracted), the rule their retroactive one
(`graph.plasticity`, Miconi et al. 2019 eqs. 4-5 made spiking): eligibility of presynaptic trace times postsynaptic spike, written into H
by a third factor. The network runs in blocks of `steps` steps, in which its input spikes are the same; the third factor comes at the last
step of a block, so that H is one matrix within it and the rank-one terms of E are one product. A `modulator` of the network's own, a leaky
readout of the input spikes, is a third factor at every step instead.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import hardtanh

from neuromorph.errors import TrainingError
from neuromorph.train.surrogate import bellec


@dataclass(frozen=True)
class PlasticSNNConfig:
    """`n` neurons, the first `n_adaptive` of which adapt their threshold; `steps` of `dt` [s] a block; time constants [s].

    `tau_e` is that of the eligibility (eta = 1 - exp(-dt / tau_e)), `post_offset` is taken from the postsynaptic spike. `clip`: bound of
    |H|, `third_limit` of the third factor. `plastic`: without it H stays 0. `alpha`: one a "synapse", or "one" for all, which
    is what Loihi's own rules have (its value then starts at `alpha_scale`). `modulator`: the third factor is a trained leaky readout
    (`tau_mod`) of the input spikes, which starts at 0: a network that cannot use it yet is not disturbed by it. Initial standard
    deviations: of inputs `input_scale` / sqrt(n_in / 2), of recurrent weights `recurrent_scale` / sqrt(n), of alpha `alpha_scale`.

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
    alpha: Literal["synapse", "one"] = "synapse"
    modulator: bool = False
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
        if self.modulator and not self.plastic:
            raise TrainingError(f"{self}: a modulator needs plastic synapses to act on; give plastic=True.")

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
    """Trained: `w_in` [n, n_in], `w` [n, n], `alpha` [n, n] or [1, 1], `w_out` [n_out, n], `bias` [n_out] of the leaky readout; `w_mod`
    [1, n_in] of the modulator, where there is one.
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
        self.alpha = drawn(n, n, config.alpha_scale) if config.alpha == "synapse" else nn.Parameter(one)
        self.w_out = drawn(n_out, n, 0.3 / math.sqrt(n))
        self.bias = nn.Parameter(torch.zeros(n_out))
        if config.modulator:
            self.w_mod = nn.Parameter(torch.zeros(1, n_in))
        adaptive = torch.arange(n) < config.n_adaptive
        self.register_buffer("kappa", adaptive * config.beta * (1 - config.decay(config.tau_a)))
        self.spike = bellec(config.gamma)

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
        spikes, traces, drive = list[Tensor](), list[Tensor](), state.x @ self.w_in.t()
        weights = self._weights(state.H)
        for step in range(self.config.steps):
            arrived = x if step else state.x
            state = self._neurons(state, drive + torch.bmm(state.z.unsqueeze(1), weights).squeeze(1))
            spikes.append(state.z)
            traces.append(state.p)
            if self.config.modulator:
                state = self._modulated(state, arrived)
                weights = self._weights(state.H)
            if step == 0:
                drive = x @ self.w_in.t()
        z_all = torch.stack(spikes)
        if self.config.plastic and not self.config.modulator:
            H, E = self._learn(state.H, state.E, z_all - self.config.post_offset, torch.stack(traces), third)
            state = state._replace(H=H, E=E)
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

    def _modulated(self, state: PlasticState, arrived: Tensor) -> PlasticState:
        """H and E after a step whose third factor is the modulator's readout."""
        c, keep = self.config, self.config.decay(self.config.tau_e)
        m = c.decay(c.tau_mod) * state.m + arrived @ self.w_mod.t()
        H = hardtanh(state.H + hardtanh(m, -c.third_limit, c.third_limit).unsqueeze(2) * state.E, -c.clip, c.clip)
        pairs = (state.z - c.post_offset).unsqueeze(2) * state.p.unsqueeze(1)
        return state._replace(m=m, H=H, E=keep * state.E + (1 - keep) * pairs)

    def _learn(self, H: Tensor, E: Tensor, q: Tensor, p: Tensor, third: Tensor | None) -> tuple[Tensor, Tensor]:
        """H by the third factor of the last step and the E before it; E after it."""
        c, keep = self.config, self.config.decay(self.config.tau_e)
        first = c.steps - 1
        ages = torch.arange(first - 1, -1, -1, dtype=q.dtype)
        weighted = q[:first] * ((1 - keep) * keep**ages)[:, None, None]
        E = keep**first * E + torch.bmm(weighted.permute(1, 2, 0), p[:first].transpose(0, 1))
        if third is not None:
            H = hardtanh(H + third.clamp(-c.third_limit, c.third_limit)[:, None, None] * E, -c.clip, c.clip)
        return H, keep * E + (1 - keep) * q[-1].unsqueeze(2) * p[-1].unsqueeze(1)


def signs_of(x: Float[Tensor, "*batch n"]) -> Bool[Tensor, "*batch twice_n"]:
    """Signed values as spikes of two channels each: where positive, where negative."""
    return torch.cat([x > 0, x < 0], -1)
