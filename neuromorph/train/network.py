"""The LSNN of Bellec 2018: inputs, excitatory, inhibitory and adaptive neurons, leaky readout, ready for DEEP R."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from neuromorph.errors import TrainingError
from neuromorph.graph import ALIF, LIF
from neuromorph.graph.populations import Adaptation, Reset, decay_factor
from neuromorph.train.delays import delayed_linear, draw_delays
from neuromorph.train.kernel import can_run, run_sequence
from neuromorph.train.layers import LSNNRecurrent
from neuromorph.train.losses import mean_readout
from neuromorph.train.neurons import LSNNConstants
from neuromorph.train.readout import LeakyReadout
from neuromorph.train.surrogate import by_name

INPUT_RATE = 0.05
RECURRENT_RATE = 0.02
"""Spikes per neuron and step that the scale of the initial weights assumes."""


@dataclass(frozen=True)
class LSNNConfig:
    """Sizes, time constants [s], threshold [units of v]. Hidden neurons are ordered excitatory, inhibitory, adaptive.

    Defaults are those of Bellec 2018 for sequential digits, with `tau_a` for sequences of about 100 ms (it should be
    close to the memory that the task needs); a pair `(low, high)` spreads `tau_a` evenly over the adaptive neurons.
    `max_input_delay`, `max_readout_delay` [steps]: each synapse has a fixed random delay of 1 to so many steps; recurrent
    synapses take one step.

    Raises:
        TrainingError: a size or time constant is out of range.
    """

    n_in: int
    n_excitatory: int
    n_inhibitory: int
    n_adaptive: int
    n_out: int
    dt: float = 1e-3
    tau_m: float = 20e-3
    tau_a: float | tuple[float, float] = 200e-3
    tau_out: float = 20e-3
    beta: float = 1.8
    v_th: float = 0.01
    n_ref: int = 5
    gamma: float = 0.3
    reset: Reset = "subtract"
    adaptation: Adaptation = "threshold"
    surrogate: str = "bellec"
    max_input_delay: int = 1
    max_readout_delay: int = 1

    def __post_init__(self) -> None:
        sizes = {"n_in": self.n_in, "n_out": self.n_out, "n_excitatory + n_inhibitory + n_adaptive": self.n}
        for name, size in sizes.items():
            if size < 1:
                raise TrainingError(f"LSNNConfig: {name} is {size}; at least 1.")
        for name in ("max_input_delay", "max_readout_delay"):
            if getattr(self, name) < 1:
                raise TrainingError(f"LSNNConfig: {name} is {getattr(self, name)}; every projection costs at least one step.")
        for name in ("n_excitatory", "n_inhibitory", "n_adaptive", "n_ref"):
            if getattr(self, name) < 0:
                raise TrainingError(f"LSNNConfig: {name} is {getattr(self, name)}; 0 or more.")
        for name in ("dt", "tau_m", "tau_a", "tau_out", "v_th"):
            if not np.all(np.asarray(getattr(self, name)) > 0):
                raise TrainingError(
                    f"LSNNConfig: {name} is {getattr(self, name)}; give a positive number (seconds, or units of v for v_th)."
                )

    @property
    def n(self) -> int:
        """Hidden neurons."""
        return self.n_excitatory + self.n_inhibitory + self.n_adaptive

    def populations(self) -> tuple[LIF, ...]:
        """The hidden populations "excitatory", "inhibitory" (LIF) and "adaptive" (ALIF), empty ones left out."""
        sizes = {"excitatory": self.n_excitatory, "inhibitory": self.n_inhibitory}
        common: dict[str, Any] = {"dt": self.dt, "tau_m": self.tau_m, "v_th": self.v_th, "n_ref": self.n_ref, "reset": self.reset}
        found = [LIF.from_time_constants(name, n, **common) for name, n in sizes.items() if n]
        if self.n_adaptive:
            tau_a = np.linspace(*self.tau_a, self.n_adaptive) if isinstance(self.tau_a, tuple) else self.tau_a
            slow: dict[str, Any] = {"tau_a": tau_a, "beta": self.beta, "adaptation": self.adaptation}
            found.append(ALIF.from_time_constants("adaptive", self.n_adaptive, **common, **slow))
        return tuple(found)


class Decision(NamedTuple):
    """`logits`: readout averaged over the last steps [batch, n_out]; `rates`: mean spikes a step of each hidden neuron [n]."""

    logits: Tensor
    rates: Tensor


class LSNN(nn.Module):
    """Input spikes [time, batch, n_in] to readout traces y [time, batch, n_out] and hidden spikes z [time, batch, n].

    `compiled`: run the hidden layer with the compiled kernel where it can; else with PyTorch's loop, the oracle.

    After construction the weights are dense, of both signs, drawn from `generator`; `initialise` makes them sparse and signed.
    """

    input_delays: Tensor
    readout_delays: Tensor

    def __init__(
        self, config: LSNNConfig, *, generator: torch.Generator, dtype: torch.dtype = torch.float32, compiled: bool = True
    ) -> None:
        super().__init__()
        self.config = config
        self.compiled = compiled
        options = {"gamma": config.gamma} if config.surrogate == "bellec" else {}
        constants = LSNNConstants.of(*config.populations(), surrogate=by_name(config.surrogate, **options), dtype=dtype)
        self.hidden = LSNNRecurrent(config.n_in, constants, generator=generator, dt=config.dt)
        decay = decay_factor(config.tau_out, config.dt)
        self.readout = LeakyReadout(config.n, config.n_out, decay_v=decay, generator=generator, dtype=dtype)
        self.register_buffer("input_delays", draw_delays(config.n, config.n_in, config.max_input_delay, generator))
        self.register_buffer("readout_delays", draw_delays(config.n_out, config.n, config.max_readout_delay, generator))
        with torch.no_grad():
            for name, weights in self.weights().items():
                weights *= _scale(config, name)

    def forward(self, x: Float[Tensor, "time batch n_in"]) -> tuple[Float[Tensor, "time batch n_out"], Float[Tensor, "time batch n"]]:
        drives = delayed_linear(x, self.hidden.input_weights, self.input_delays)
        if self.compiled and can_run(drives, self.hidden.p):
            z = run_sequence(drives, self.hidden.recurrent_weights, self.hidden.p)
        else:
            z, _ = self.hidden.integrate(drives)
        y, _ = self.readout.integrate(delayed_linear(z, self.readout.weights, self.readout_delays))
        return y, z

    def decide(self, x: Num[Tensor, "time batch n_in"], window: int) -> "Decision":
        """What a loss on the averaged readout and regularisers need, without the trace of every step and neuron."""
        y, z = self(x.to(self.readout.weights))
        return Decision(mean_readout(y, window), z.mean((0, 1)))

    def weights(self) -> dict[str, nn.Parameter]:
        """The trained matrices [n_target, n_source]: "input", "recurrent" (zero diagonal), "readout"."""
        return {"input": self.hidden.input_weights, "recurrent": self.hidden.recurrent_weights, "readout": self.readout.weights}

    def signs(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Signs +1, -1 of every possible synapse, by name, in the shape of `weights()`.

        Dale's law for hidden neurons (excitatory and adaptive +1, inhibitory -1); input synapses get random signs.
        """
        source = torch.ones(self.config.n)
        source[self.config.n_excitatory : self.config.n_excitatory + self.config.n_inhibitory] = -1
        shapes = {name: weights.shape for name, weights in self.weights().items()}
        coins = torch.randint(0, 2, shapes["input"], generator=generator) * 2 - 1
        signs = {"input": coins, "recurrent": source.expand(shapes["recurrent"]), "readout": source.expand(shapes["readout"])}
        return {name: sign.to(self.weights()[name]).contiguous() for name, sign in signs.items()}

    def delays(self) -> dict[str, Tensor]:
        """Delay [steps] of every possible synapse, by name, in the shape of `weights()`; fixed."""
        return {"input": self.input_delays, "recurrent": torch.ones(self.config.n, self.config.n).long(), "readout": self.readout_delays}

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
            if name == "recurrent":
                mask = mask.clone().fill_diagonal_(0)
            sparse = weights.abs() * mask / mask.mean().clamp_min(1 / mask.numel()).sqrt()
            excitation, inhibition = sparse[signs[name] > 0].sum(), sparse[signs[name] < 0].sum()
            balance = excitation / inhibition if excitation > 0 and inhibition > 0 else torch.ones(())
            scale = 1.0 if name == "readout" else hidden_scale
            weights.copy_(scale * torch.where(signs[name] < 0, -balance.to(weights), 1.0) * sparse)


def _scale(config: LSNNConfig, name: str) -> float:
    """Standard deviation of a weight times sqrt(fan-in), for potentials that wander by v_th (recurrence: half of it)."""
    if name == "readout":
        return 1.0
    decay = float(decay_factor(config.tau_m, config.dt))
    rate, share = (INPUT_RATE, 1.0) if name == "input" else (RECURRENT_RATE, 0.5)
    return share * config.v_th * math.sqrt((1 - decay**2) / rate) / (1 - decay)
