"""NIR's neurons, which are equations of continuous time, as populations that take steps of dt."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from neuromorph.errors import FormatError
from neuromorph.graph.populations import LI, LIF, Discretisation, decay_factor
from neuromorph.nir.file import Node
from neuromorph.nir.operators import Shape, numbers

SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
ANALOG = ("I", "LI", "CubaLI")

SpikeMeaning: TypeAlias = Literal["usual", "current", "charge"]


@dataclass(frozen=True)
class Stepping:
    """What NIR leaves open.

    `dt` [s]. `discretisation`: "euler", v += dt / tau (v_leak - v + R I), as the tools that read NIR compute, or "exact", by
    exp(-dt / tau) for a current that is constant within a step. `spikes`: through a weight w a spike is a "current" w for one step, which
    moves a leaky neuron by dt / tau R w and an integrator by dt R w; or a "charge" w (a delta function), which moves them by R w / tau and
    R w; "usual": a current for leaky neurons and a charge for integrators, as other tools have it.
    """

    dt: float
    discretisation: Discretisation = "euler"
    spikes: SpikeMeaning = "usual"

    def __post_init__(self) -> None:
        if not 0 < self.dt < np.inf:
            raise FormatError(f"NIR: dt is {self.dt}; it must be a positive number of seconds (1e-3 for 1 ms).")
        if self.discretisation not in ("euler", "exact") or self.spikes not in ("usual", "current", "charge"):
            raise FormatError(f"NIR: {self}; allowed are euler or exact, and usual, current or charge.")


def neuron_shape(path: str, node: Node, arriving: Shape | None) -> Shape:
    """Of a node's state: that of its parameters, or of what arrives where they are single numbers.

    Raises:
        FormatError: parameters differ in shape, or do not fit what arrives.
    """
    names = [name for name in node.fields if name not in ("input_type", "output_type")]
    shapes = {np.shape(numbers(path, node, name)) for name in names}
    wide = {shape for shape in shapes if np.prod(shape) > 1}
    if len(wide) > 1:
        raise FormatError(f"NIR node {path!r} ({node.kind}): its parameters have the shapes {sorted(wide)}; they must be equal.")
    shape = next(iter(wide), arriving or (1,))
    if arriving is not None and np.prod(arriving) != np.prod(shape):
        raise FormatError(f"NIR node {path!r} ({node.kind}) has parameters of shape {shape}, but {arriving} arrives.")
    return tuple(int(size) for size in (arriving if arriving is not None and len(arriving) > len(shape) else shape))


def population(name: str, path: str, node: Node, n: int, stepping: Stepping) -> LIF | LI:
    """Its potentials count from v_leak, where it starts.

    Raises:
        FormatError: a parameter is missing or out of range, or what it says cannot be a population.
    """

    def field(of: str, default: float | None = None) -> np.ndarray:
        if default is not None and of not in node.fields:
            return np.full(n, default)
        return np.broadcast_to(numbers(path, node, of).ravel(), (n,)).astype(np.float64)

    if node.kind == "Threshold":
        return _spiking(name, path, node, n, np.zeros(n), np.zeros(n), np.ones(n), field("threshold"), np.zeros(n))
    decay_v, decay_u, gain = _dynamics(path, node, n, stepping, field)
    leak = field("v_leak", 0.0)
    if node.kind in SPIKING:
        return _spiking(name, path, node, n, decay_v, decay_u, gain, field("v_threshold") - leak, field("v_reset", 0.0) - leak)
    if leak.any():
        raise _refusal(
            path,
            node,
            f"is a readout with v_leak {leak[leak != 0][0]:g}; a graph's starts at 0. Set v_leak to 0 and add it to what is read",
        )
    return LI.of(name, n, decay_v=decay_v, decay_u=decay_u, gain=gain)


def always(name: str) -> LIF:
    """A neuron that fires in every step: a source of biases."""
    return LIF.of(name, 1, decay_v=0.5, gain=1, bias=4, v_th=1, reset="to_value")


def _dynamics(
    path: str, node: Node, n: int, stepping: Stepping, field: Callable[..., np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """decay_v, decay_u and gain: how far a synaptic current of 1 moves v in a step."""
    dt, spikes = stepping.dt, stepping.spikes
    resistance, none = field("r"), np.zeros(n)
    if node.kind in ("I", "IF"):
        return np.ones(n), none, resistance * (dt if spikes == "current" else 1.0)
    cuba = node.kind.startswith("Cuba")
    tau_m = field("tau_mem" if cuba else "tau")
    decay_v = _decay(path, node, "tau_mem" if cuba else "tau", tau_m, stepping)
    if not cuba:
        return decay_v, none, resistance * (1 / tau_m if spikes == "charge" else 1 - decay_v)
    tau_s = field("tau_syn")
    decay_u = _decay(path, node, "tau_syn", tau_s, stepping)
    current = 1 / tau_s if spikes == "charge" else 1 - decay_u
    return decay_v, decay_u, (1 - decay_v) * resistance * current * field("w_in", 1.0)


def _decay(path: str, node: Node, name: str, tau: np.ndarray, stepping: Stepping) -> np.ndarray:
    if not (tau > 0).all():
        raise _refusal(path, node, f"has {name} {tau.min():g} s; time constants are positive, in seconds")
    if stepping.discretisation == "euler" and (tau < stepping.dt).any():
        raise _refusal(
            path,
            node,
            f"has {name} {tau.min():g} s below dt {stepping.dt:g} s, which Euler's rule cannot follow; take a smaller dt or 'exact'",
        )
    return decay_factor(tau, stepping.dt, stepping.discretisation)


def _spiking(
    name: str,
    path: str,
    node: Node,
    n: int,
    decay_v: np.ndarray,
    decay_u: np.ndarray,
    gain: np.ndarray,
    v_th: np.ndarray,
    v_reset: np.ndarray,
) -> LIF:
    if (v_th < 0).any():
        raise _refusal(path, node, "has a threshold below its rest, and fires before any input; raise it")
    return LIF.of(name, n, decay_v=decay_v, decay_u=decay_u, gain=gain, v_th=v_th, v_reset=v_reset, reset="to_value")


def _refusal(path: str, node: Node, why: str) -> FormatError:
    return FormatError(f"NIR node {path!r} ({node.kind}) {why}.")
