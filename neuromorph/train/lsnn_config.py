"""What an LSNN is, but for the sizes and the step that come from the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from neuromorph.errors import TrainingError
from neuromorph.graph import ALIF, LIF
from neuromorph.graph.populations import Adaptation, Reset
from neuromorph.train.surrogate import SpikeFunction, by_name


@dataclass(frozen=True)
class LSNNConfig:
    """Sizes, time constants [s], threshold [units of v]. Neurons of a layer are ordered excitatory, inhibitory, adaptive.

    Defaults are those of Bellec 2018 for sequential digits, with `tau_a` for sequences of about 100 ms (it should be
    close to the memory that the task needs); a pair `(low, high)` spreads `tau_a` evenly over the adaptive neurons.

    `n_layers`: recurrent layers of this size on top of each other. `bidirectional`: each runs over the sequence and over
    its reverse, with weights of their own; what follows sees the spikes of both (Bellec 2020 for frame-wise tasks).
    `max_input_delay` (from the input, or from the layer below), `max_recurrent_delay`, `max_readout_delay` [steps]: each
    synapse has a fixed random delay of 1 to so many steps.
    `learned`: time constants that are trained for each neuron, of "tau_m" and "tau_a", within their bounds [s].
    `input_signs`: a sign for each input "synapse", or for each input "neuron", 3/4 of them excitatory (Bellec 2018).
    `surrogate`: see `by_name`; `surrogate_options` are its options, `gamma` is that of "bellec".

    Raises:
        TrainingError: a size or time constant is out of range, a name is unknown.
    """

    n_excitatory: int
    n_inhibitory: int
    n_adaptive: int
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
    surrogate_options: Mapping[str, float] = field(default_factory=dict)
    max_input_delay: int = 1
    max_recurrent_delay: int = 1
    max_readout_delay: int = 1
    learned: tuple[str, ...] = ()
    tau_m_bounds: tuple[float, float] = (1e-3, 200e-3)
    tau_a_bounds: tuple[float, float] = (5e-3, 5.0)
    n_layers: int = 1
    bidirectional: bool = False
    input_signs: Literal["synapse", "neuron"] = "synapse"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise TrainingError(f"LSNNConfig: n_excitatory + n_inhibitory + n_adaptive is {self.n}; at least 1.")
        for name in ("max_input_delay", "max_recurrent_delay", "max_readout_delay"):
            if getattr(self, name) < 1:
                raise TrainingError(f"LSNNConfig: {name} is {getattr(self, name)}; every projection costs at least one step.")
        for name in ("n_excitatory", "n_inhibitory", "n_adaptive", "n_ref"):
            if getattr(self, name) < 0:
                raise TrainingError(f"LSNNConfig: {name} is {getattr(self, name)}; 0 or more.")
        for name in ("tau_m", "tau_a", "tau_out", "v_th", "n_layers"):
            if not np.all(np.asarray(getattr(self, name)) > 0):
                raise TrainingError(
                    f"LSNNConfig: {name} is {getattr(self, name)}; give a positive number (seconds, or units of v for v_th)."
                )
        if unknown := set(self.learned) - {"tau_m", "tau_a"}:
            raise TrainingError(f"LSNNConfig: learned {', '.join(sorted(unknown))} is unknown; allowed: tau_m, tau_a.")
        for name, (low, high) in self.bounds().items():
            if not 0 < low < np.min(getattr(self, name)) <= np.max(getattr(self, name)) < high:
                raise TrainingError(
                    f"LSNNConfig: {name} is {getattr(self, name)}; to be learned it must lie within {name}_bounds {low, high}."
                )
        if self.input_signs not in ("synapse", "neuron"):
            raise TrainingError(f"LSNNConfig: input_signs is {self.input_signs!r}; allowed: synapse, neuron.")

    @property
    def n(self) -> int:
        """Neurons of a layer (in each direction)."""
        return self.n_excitatory + self.n_inhibitory + self.n_adaptive

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the names of what belongs to each layer, in order: "", "_2", ..., each then with "_reversed" if bidirectional."""
        layers = ["" if k == 1 else f"_{k}" for k in range(1, self.n_layers + 1)]
        return tuple(layer + way for layer in layers for way in ("", "_reversed")[: self.directions])

    def bounds(self) -> dict[str, tuple[float, float]]:
        """(low, high) [s] of each learned time constant."""
        return {name: getattr(self, f"{name}_bounds") for name in self.learned}

    def spike_function(self) -> SpikeFunction:
        """The surrogate with its options."""
        options = {"gamma": self.gamma} if self.surrogate == "bellec" else {}
        return by_name(self.surrogate, **{**options, **self.surrogate_options})

    def populations(self, dt: float) -> tuple[LIF, ...]:
        """A layer's populations "excitatory", "inhibitory" (LIF) and "adaptive" (ALIF), empty ones left out, for steps of `dt` [s]."""
        sizes = {"excitatory": self.n_excitatory, "inhibitory": self.n_inhibitory}
        common: dict[str, Any] = {"dt": dt, "tau_m": self.tau_m, "v_th": self.v_th, "n_ref": self.n_ref, "reset": self.reset}
        found = [LIF.from_time_constants(name, n, **common) for name, n in sizes.items() if n]
        if self.n_adaptive:
            tau_a = np.linspace(*self.tau_a, self.n_adaptive) if isinstance(self.tau_a, tuple) else self.tau_a
            slow: dict[str, Any] = {"tau_a": tau_a, "beta": self.beta, "adaptation": self.adaptation}
            found.append(ALIF.from_time_constants("adaptive", self.n_adaptive, **common, **slow))
        return tuple(found)
