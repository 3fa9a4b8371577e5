"""Populations: what a neuron is, per-step constants as used by the one step every simulator computes.

One type family serves floats and fixed point. In a float graph constants are float64; decay factors lie in
[0, 1), `decay_v` in [0, 1] (1: a membrane that does not leak).
In an integer graph they are int64: decay factors count 1/4096 (so `decay_v = 4096 - dv` of Loihi's 12-bit `dv`, and
`decay_u = 4095 - du`), `v_th` is the 17-bit mantissa (compared after `<< 6`), `kappa`, `bias` are in units of v, and
`gain` is 1 because it is folded into the weights.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from neuromorph.shapes import Float64, Int64

PerNeuron: TypeAlias = Float64[np.ndarray, " n"] | Int64[np.ndarray, " n"]
Values: TypeAlias = np.ndarray | np.generic | float | int | Sequence[Any]
"""A number, or an array or (nested) list of numbers."""
Reset: TypeAlias = Literal["subtract", "to_value"]
Adaptation: TypeAlias = Literal["threshold", "current"]
Discretisation: TypeAlias = Literal["exact", "euler"]

RESETS: tuple[Reset, ...] = ("subtract", "to_value")
ADAPTATIONS: tuple[Adaptation, ...] = ("threshold", "current")


def read_only(array: Values, dtype: np.dtype | type | None = None) -> np.ndarray:
    """A contiguous view (copy where the dtype differs) that cannot be written through."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def decay_factor(tau: Values, dt: float, discretisation: Discretisation = "exact") -> np.ndarray:
    """Per-step decay of a time constant `tau` [s] at step `dt` [s].

    `exact`: exp(-dt / tau), as in Bellec 2018; `euler`: 1 - dt / tau, as Norse computes. `tau = 0` gives 0 (no memory).
    """
    tau = np.asarray(tau, dtype=np.float64)
    ratio = np.divide(dt, tau, out=np.full_like(tau, math.inf), where=tau > 0)
    return np.asarray(np.exp(-ratio) if discretisation == "exact" else np.where(ratio <= 1, 1 - ratio, 0.0))


@dataclass(frozen=True, eq=False)
class Input:
    """Spike source with `n` channels; its spikes are data."""

    name: str
    n: int

    PARAMETERS: ClassVar[tuple[str, ...]] = ()
    FORMS: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, eq=False)
class LI:
    """Leaky integrator, the readout: `u = decay_u u + I`, `y = decay_v y + gain u + bias`. Never spikes.

    Per-neuron arrays of length `n`: `decay_v`, `decay_u` (0: no synaptic current), `gain`, `bias`.
    """

    name: str
    n: int
    decay_v: PerNeuron
    decay_u: PerNeuron
    gain: PerNeuron
    bias: PerNeuron

    PARAMETERS: ClassVar[tuple[str, ...]] = ("decay_v", "decay_u", "gain", "bias")
    FORMS: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for field in self.PARAMETERS:
            object.__setattr__(self, field, read_only(getattr(self, field)))

    @classmethod
    def of(
        cls,
        name: str,
        n: int,
        *,
        decay_v: Values,
        decay_u: Values = 0,
        gain: Values | None = None,
        bias: Values = 0,
        precision: Literal["float", "integer"] = "float",
    ) -> "LI":
        """Scalars or arrays of length `n`; `gain` defaults to `1 - decay_v` (float) or 1 (integer)."""
        fill = _filler(n, precision)
        gain = _default_gain(decay_v, precision) if gain is None else gain
        return cls(name, n, fill(decay_v), fill(decay_u), fill(gain), fill(bias))

    @classmethod
    def from_time_constants(
        cls,
        name: str,
        n: int,
        *,
        dt: float,
        tau_m: Values,
        tau_s: Values = 0.0,
        gain: Values | None = None,
        bias: Values = 0.0,
        discretisation: Discretisation = "exact",
    ) -> "LI":
        """Time constants in seconds: membrane `tau_m`, synaptic current `tau_s` (0: none)."""
        decay_v, decay_u = (decay_factor(tau, dt, discretisation) for tau in (tau_m, tau_s))
        return cls.of(name, n, decay_v=decay_v, decay_u=decay_u, gain=gain, bias=bias)


@dataclass(frozen=True, eq=False)
class LIF:
    """Leaky integrate-and-fire, with synaptic current where `decay_u > 0`.

    `u = decay_u u + I`, `v = decay_v v + gain u + bias`, spike where `v > v_th` (strict) and no spike in the last `n_ref`
    steps. `reset="subtract"` takes the crossed threshold off at the next step, `"to_value"` starts it from `v_reset`.
    Per-neuron arrays of length `n`; `n_ref` [steps] is int64 always.
    """

    name: str
    n: int
    decay_v: PerNeuron
    decay_u: PerNeuron
    gain: PerNeuron
    bias: PerNeuron
    v_th: PerNeuron
    v_reset: PerNeuron
    n_ref: Int64[np.ndarray, " n"]
    reset: Reset

    PARAMETERS: ClassVar[tuple[str, ...]] = ("decay_v", "decay_u", "gain", "bias", "v_th", "v_reset", "n_ref")
    FORMS: ClassVar[tuple[str, ...]] = ("reset",)

    def __post_init__(self) -> None:
        for field in self.PARAMETERS:
            object.__setattr__(self, field, read_only(getattr(self, field)))

    @classmethod
    def of(
        cls,
        name: str,
        n: int,
        *,
        decay_v: Values,
        v_th: Values,
        decay_u: Values = 0,
        gain: Values | None = None,
        bias: Values = 0,
        v_reset: Values = 0,
        n_ref: Values = 0,
        reset: Reset = "subtract",
        precision: Literal["float", "integer"] = "float",
    ) -> "LIF":
        """Scalars or arrays of length `n`; `gain` defaults to `1 - decay_v` (float) or 1 (integer)."""
        fill, whole = _filler(n, precision), _filler(n, "integer")
        gain = _default_gain(decay_v, precision) if gain is None else gain
        return cls(name, n, fill(decay_v), fill(decay_u), fill(gain), fill(bias), fill(v_th), fill(v_reset), whole(n_ref), reset)

    @classmethod
    def from_time_constants(
        cls,
        name: str,
        n: int,
        *,
        dt: float,
        tau_m: Values,
        v_th: Values,
        tau_s: Values = 0.0,
        gain: Values | None = None,
        bias: Values = 0.0,
        v_reset: Values = 0.0,
        n_ref: Values = 0,
        reset: Reset = "subtract",
        discretisation: Discretisation = "exact",
    ) -> "LIF":
        """Time constants in seconds: membrane `tau_m`, synaptic current `tau_s` (0: none)."""
        decay_v, decay_u = (decay_factor(tau, dt, discretisation) for tau in (tau_m, tau_s))
        return cls.of(name, n, decay_v=decay_v, decay_u=decay_u, gain=gain, bias=bias, v_th=v_th, v_reset=v_reset, n_ref=n_ref, reset=reset)


@dataclass(frozen=True, eq=False)
class ALIF(LIF):
    """LIF with spike-frequency adaptation `a = decay_a a + kappa z[t-1]` (Bellec 2018).

    `adaptation="threshold"`: the threshold is `v_th + a` (LSNN). `"current"`: `a` is taken off the membrane potential
    each step (after-hyperpolarising current, Rao 2022), which is the form that Loihi 1 has.
    """

    decay_a: PerNeuron
    kappa: PerNeuron
    adaptation: Adaptation

    PARAMETERS: ClassVar[tuple[str, ...]] = (*LIF.PARAMETERS, "decay_a", "kappa")
    FORMS: ClassVar[tuple[str, ...]] = ("reset", "adaptation")

    @classmethod
    def of(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        name: str,
        n: int,
        *,
        decay_v: Values,
        v_th: Values,
        decay_a: Values,
        kappa: Values,
        decay_u: Values = 0,
        gain: Values | None = None,
        bias: Values = 0,
        v_reset: Values = 0,
        n_ref: Values = 0,
        reset: Reset = "subtract",
        adaptation: Adaptation = "threshold",
        precision: Literal["float", "integer"] = "float",
    ) -> "ALIF":
        """Scalars or arrays of length `n`; `gain` defaults to `1 - decay_v` (float) or 1 (integer)."""
        fill, whole = _filler(n, precision), _filler(n, "integer")
        gain = _default_gain(decay_v, precision) if gain is None else gain
        return cls(
            name,
            n,
            decay_v=fill(decay_v),
            decay_u=fill(decay_u),
            gain=fill(gain),
            bias=fill(bias),
            v_th=fill(v_th),
            v_reset=fill(v_reset),
            n_ref=whole(n_ref),
            reset=reset,
            decay_a=fill(decay_a),
            kappa=fill(kappa),
            adaptation=adaptation,
        )

    @classmethod
    def from_time_constants(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        name: str,
        n: int,
        *,
        dt: float,
        tau_m: Values,
        v_th: Values,
        tau_a: Values,
        beta: Values,
        tau_s: Values = 0.0,
        gain: Values | None = None,
        bias: Values = 0.0,
        v_reset: Values = 0.0,
        n_ref: Values = 0,
        reset: Reset = "subtract",
        adaptation: Adaptation = "threshold",
        discretisation: Discretisation = "exact",
    ) -> "ALIF":
        """Time constants in seconds, adaptation `tau_a`; one spike adds `kappa = beta (1 - decay_a)`."""
        decay_v, decay_u, decay_a = (decay_factor(tau, dt, discretisation) for tau in (tau_m, tau_s, tau_a))
        kappa = np.asarray(beta, dtype=np.float64) * (1 - decay_a)
        return cls.of(
            name,
            n,
            decay_v=decay_v,
            decay_u=decay_u,
            gain=gain,
            bias=bias,
            v_th=v_th,
            v_reset=v_reset,
            n_ref=n_ref,
            reset=reset,
            decay_a=decay_a,
            kappa=kappa,
            adaptation=adaptation,
        )


Population: TypeAlias = Input | LI | LIF | ALIF
Neurons: TypeAlias = LI | LIF | ALIF

KINDS: dict[str, type[Input] | type[LI] | type[LIF] | type[ALIF]] = {"Input": Input, "LI": LI, "LIF": LIF, "ALIF": ALIF}


def parameters(population: Population) -> dict[str, np.ndarray]:
    """The per-neuron arrays of a population by name (none for an Input)."""
    return {field: getattr(population, field) for field in population.PARAMETERS}


def replace(population: Neurons, **changes: object) -> Neurons:
    """A copy with some fields changed."""
    return dataclasses.replace(population, **changes)  # pyright: ignore[reportArgumentType]


def _filler(n: int, precision: str) -> Callable[[Values], np.ndarray]:
    dtype = np.float64 if precision == "float" else np.int64

    def fill(value: Values) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=dtype), (n,)).copy()

    return fill


def _default_gain(decay_v: Values, precision: str) -> Values:
    return 1 - np.asarray(decay_v, dtype=np.float64) if precision == "float" else 1
