"""The LSNN of Bellec 2018: inputs, layers of excitatory, inhibitory and adaptive neurons, leaky readout, ready for DEEP R."""

import math
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.graph.populations import decay_factor
from neuromorph.train.compiled import can_run, run_layer
from neuromorph.train.constants import LSNNConstants
from neuromorph.train.delays import delayed_linear, draw_delays
from neuromorph.train.layers import LSNNRecurrent
from neuromorph.train.losses import check_window, mean_readout, overshoots
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.readout import LeakyReadout

INPUT_RATE = 0.05
RECURRENT_RATE = 0.02
"""Spikes per neuron and step that the scale of the initial weights assumes."""


FROM_INPUT = ("input", "input_reversed")
"""Matrices whose sources are the network's input; all others come from hidden neurons."""


class Decision(NamedTuple):
    """What a loss on the averaged readout and the regularisers need.

    `logits`: readout averaged over the last steps [batch, n_out]. Of each hidden neuron [n]: `rates`: mean spikes a step;
    `overshoot`: see `losses.overshoots`; zeros where it was not asked for.
    """

    logits: Tensor
    rates: Tensor
    overshoot: Tensor


class Frames(NamedTuple):
    """As `Decision`, for losses on every step: `y` is the readout of each [time, batch, n_out]."""

    y: Tensor
    rates: Tensor
    overshoot: Tensor


class LayerActivity(NamedTuple):
    """Spikes of a layer [time, batch, n], mean spikes a step [n], and what `losses.overshoots` says of it [n] (or zeros)."""

    z: Tensor
    rates: Tensor
    overshoot: Tensor


class Activity(NamedTuple):
    """`top`: spikes of the uppermost layer; the rest is of all layers side by side, as in `LayerActivity`."""

    top: Tensor
    z: Tensor
    rates: Tensor
    overshoot: Tensor


class LSNN(nn.Module):
    """Input spikes [time, batch, n_in] to readout traces y [time, batch, n_out] and hidden spikes z [time, batch, n].

    n counts the neurons of all layers, first layer first (in a bidirectional network each layer's forward half, then its
    reversed half, in the order of `config.suffixes`). `n_in`, `n_out`, `dt` [s] are those of the data. `compiled`: run
    layers with the compiled kernel where it can; else with PyTorch's loop, the oracle. `live_gradients`: the kernel leaves out
    the gradients of weights that are exactly zero (dormant synapses), which saves time where synapses have delays.

    After construction the weights are dense, of both signs, drawn from `generator`; `initialise` makes them sparse and signed.

    Raises:
        TrainingError: `n_in`, `n_out` or `dt` is not positive.
    """

    readout_delays: Tensor

    def __init__(
        self,
        config: LSNNConfig,
        n_in: int,
        n_out: int,
        *,
        dt: float = 1e-3,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        compiled: bool = True,
        live_gradients: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {"n_in": n_in, "n_out": n_out, "dt": dt}.items():
            if not value > 0:
                raise TrainingError(f"LSNN: {name} is {value}; it must be positive.")
        self.n_in, self.n_out, self.dt = n_in, n_out, dt
        self.config = config
        self.compiled, self.live_gradients = compiled, live_gradients
        below, width = [n_in] * config.directions, config.n * config.directions
        options = {"surrogate": config.spike_function(), "learned": config.bounds(), "dt": dt, "dtype": dtype}
        self.hidden = nn.ModuleList(
            LSNNRecurrent(n_source, LSNNConstants.of(*config.populations(dt), **options), generator=generator, dt=dt)
            for n_source in below + [width] * (len(config.suffixes) - len(below))
        )
        self.readout = LeakyReadout(width, n_out, decay_v=decay_factor(config.tau_out, dt), generator=generator, dtype=dtype)
        for layer in self.layers().values():
            layer.input_delays = draw_delays(config.n, layer.input_weights.shape[1], config.max_input_delay, generator)
            if config.max_recurrent_delay > 1:
                layer.recurrent_delays = draw_delays(config.n, config.n, config.max_recurrent_delay, generator)
        self.register_buffer("readout_delays", draw_delays(n_out, width, config.max_readout_delay, generator))
        with torch.no_grad():
            for name, weights in self.weights().items():
                weights *= initial_scale(config, dt, name)

    def layers(self) -> dict[str, LSNNRecurrent]:
        """The hidden layers by the suffix of their names (see `LSNNConfig.suffixes`)."""
        return {suffix: cast(LSNNRecurrent, layer) for suffix, layer in zip(self.config.suffixes, self.hidden)}

    def forward(self, x: Shaped[Tensor, "time batch n_in"]) -> tuple[Float[Tensor, "time batch n_out"], Float[Tensor, "time batch n"]]:
        activity = self._layers(x, len(self.hidden), overshoot=False)
        return self._read(activity.top), activity.z

    def decide(self, x: Shaped[Tensor, "time batch n_in"], window: int, overshoot: bool = False) -> Decision:
        """Readout averaged over the last `window` steps, rates, and `overshoot` if asked for."""
        if self._fused():
            check_window(window, len(x))
            return Decision(*self._last(x, window, overshoot))
        activity = self._layers(x, len(self.hidden), overshoot)
        return Decision(mean_readout(self._read(activity.top), window), activity.rates, activity.overshoot)

    def frames(self, x: Shaped[Tensor, "time batch n_in"], overshoot: bool = False) -> Frames:
        """Readout of every step, rates, and `overshoot` if asked for."""
        if self._fused():
            return Frames(*self._last(x, None, overshoot))
        activity = self._layers(x, len(self.hidden), overshoot)
        return Frames(self._read(activity.top), activity.rates, activity.overshoot)

    def _fused(self) -> bool:
        """Whether the last layer and the readout run in one call, without a trace of every neuron."""
        return self.compiled and not self.config.bidirectional and can_run(list(self.layers().values())[-1])

    def _last(self, x: Tensor, window: int | None, overshoot: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Readout, rates and overshoot, the last layer with its readout in one call."""
        *_, last = self.layers().values()
        below = self._layers(x, len(self.hidden) - 1, overshoot)
        options = {"window": window, "spikes": False, "overshoot": overshoot, "live_gradients": self.live_gradients}
        r = run_layer(last, below.top, readout=self.readout, readout_delays=self.readout_delays, **options)
        assert r.readout is not None
        return r.readout, torch.cat([below.rates, r.rates]), torch.cat([below.overshoot, r.overshoot])

    def _layers(self, x: Tensor, count: int, overshoot: bool) -> Activity:
        """The activity of the first `count` layers and directions; `top` of none is the input."""
        layers, ways, parts = list(self.layers().values())[:count], self.config.directions, list[LayerActivity]()
        for first in range(0, len(layers), ways):
            both = [self._layer(layers[first], x, overshoot)]
            if self.config.bidirectional:
                back = self._layer(layers[first + 1], x.flip(0), overshoot)
                both.append(back._replace(z=back.z.flip(0)))
            parts += both
            x = torch.cat([part.z for part in both], dim=-1)
        none = self.readout.weights.new_zeros(0)
        z = torch.cat([part.z for part in parts], dim=-1) if parts else x
        return Activity(x, z, torch.cat([none, *(p.rates for p in parts)]), torch.cat([none, *(p.overshoot for p in parts)]))

    def _layer(self, layer: LSNNRecurrent, x: Tensor, overshoot: bool) -> LayerActivity:
        if self.compiled and can_run(layer):
            r = run_layer(layer, x, overshoot=overshoot, live_gradients=self.live_gradients)
            assert r.spikes is not None
            return LayerActivity(r.spikes, r.rates, r.overshoot)
        drives = delayed_linear(x.to(layer.input_weights), layer.input_weights, layer.input_delays)
        if overshoot:
            traces = [(s.z, s.v, s.theta) for s in layer.states(drives.unsqueeze(-2))]
            z, v, theta = (torch.stack(trace) for trace in zip(*traces))
            return LayerActivity(z, z.mean((0, 1)), overshoots(v, theta))
        z, _ = layer.integrate(drives)
        return LayerActivity(z, z.mean((0, 1)), z.new_zeros(z.shape[-1]))

    def _read(self, z: Float[Tensor, "time batch n"]) -> Float[Tensor, "time batch n_out"]:
        y, _ = self.readout.integrate(delayed_linear(z, self.readout.weights, self.readout_delays))
        return y

    def weights(self) -> dict[str, nn.Parameter]:
        """The trained matrices [n_target, n_source]: "input", "recurrent" (zero diagonal), ..., "readout".

        Deeper and reversed layers have "input_2", "recurrent_2", "input_reversed", ...: see `LSNNConfig.suffixes`.
        """
        found: dict[str, nn.Parameter] = {}
        for suffix, layer in self.layers().items():
            found |= {f"input{suffix}": layer.input_weights, f"recurrent{suffix}": layer.recurrent_weights}
        return {**found, "readout": self.readout.weights}

    def time_constants(self) -> dict[str, nn.Parameter]:
        """The raw parameters of learned time constants (see `BoundedTimes`): "tau_m", "tau_a", "tau_m_2", ..."""
        return {name + suffix: raw for suffix, layer in self.layers().items() for name, raw in layer.p.time_constants().items()}

    def signs(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Signs +1, -1 of every possible synapse, by name, in the shape of `weights()`.

        Dale's law for hidden neurons (excitatory and adaptive +1, inhibitory -1). Synapses from the input get random
        signs, or all those of an input neuron one sign (`config.input_signs`; a quarter of the neurons inhibitory, rounded
        down, where the LSNN code has 19 of 80).
        """
        source = torch.ones(self.config.n)
        source[self.config.n_excitatory : self.config.n_excitatory + self.config.n_inhibitory] = -1
        by_neuron = self.config.input_signs == "neuron"
        inputs = torch.where(torch.randperm(self.n_in, generator=generator) < self.n_in // 4, -1, 1) if by_neuron else None
        signs: dict[str, Tensor] = {}
        for name, weights in self.weights().items():
            if name not in FROM_INPUT:
                sign = source.tile(weights.shape[1] // self.config.n).expand(weights.shape)
            elif inputs is not None:
                sign = inputs.expand(weights.shape)
            else:
                sign = torch.randint(0, 2, weights.shape, generator=generator) * 2 - 1
            signs[name] = sign.to(weights).contiguous()
        return signs

    def delays(self) -> dict[str, Tensor]:
        """Delay [steps] of every possible synapse, by name, in the shape of `weights()`; fixed."""
        found = {"readout": self.readout_delays}
        for suffix, layer in self.layers().items():
            given = {f"input{suffix}": layer.input_delays, f"recurrent{suffix}": layer.recurrent_delays}
            found |= {name: delays for name, delays in given.items() if delays is not None}
        return {name: found.get(name, torch.ones_like(w, dtype=torch.int64)) for name, w in self.weights().items()}

    @torch.no_grad()
    def initialise(self, signs: dict[str, Tensor], masks: dict[str, Tensor], *, hidden_scale: float = 1.0) -> None:
        """Sparse signed start: weights = sign |N(0, 1)| scale where `masks` is true, 0 elsewhere.

        Keeps the magnitudes drawn at construction, scaled up for the lower fan-in; then inhibition is scaled to balance
        excitation, as Bellec 2018's initialisation does. With input spikes in about 5 % of the channels a step,
        potentials then wander by about the threshold, or by `hidden_scale` of it. Call it once, before training.

        Shapes: those of `weights()`; masks bool (or 0/1), signs +1 or -1.
        """
        for name, weights in self.weights().items():
            mask = masks[name].to(weights)
            if name.startswith("recurrent"):
                mask = mask.clone().fill_diagonal_(0)
            sparse = weights.abs() * mask / mask.mean().clamp_min(1 / mask.numel()).sqrt()
            excitation, inhibition = sparse[signs[name] > 0].sum(), sparse[signs[name] < 0].sum()
            balance = excitation / inhibition if excitation > 0 and inhibition > 0 else torch.ones(())
            scale = 1.0 if name == "readout" else hidden_scale
            weights.copy_(scale * torch.where(signs[name] < 0, -balance.to(weights), 1.0) * sparse)


def initial_scale(config: LSNNConfig, dt: float, name: str) -> float:
    """Standard deviation of a weight times sqrt(fan-in), for potentials that wander by v_th (recurrence: half of it)."""
    if name == "readout":
        return 1.0
    decay = float(decay_factor(config.tau_m, dt))
    rate, share = INPUT_RATE if name in FROM_INPUT else RECURRENT_RATE, 0.5 if name.startswith("recurrent") else 1.0
    return share * config.v_th * math.sqrt((1 - decay**2) / rate) / (1 - decay)
