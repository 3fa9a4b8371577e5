"""From a live model to a graph: Norse's own LIF neurons (Euler decays, synaptic current, hard reset) and this package's cells.

Norse 1.1.0 computes, with k_m = dt tau_mem_inv and k_s = dt tau_syn_inv (`functional/lif.py`, `leaky_integrator.py`):

    i' = i + W x[t] + W_rec z[t-1];   v' = v + k_m ((v_leak - v) + i');   z[t] = v' > v_th
    v = v_reset where z[t], else v';   i = i' - k_s i'

So i' is our u with decay_u = 1 - k_s, and decay_v = 1 - k_m, gain = k_m, reset to a value. Input acts without delay,
recurrence after one step, in the recurrent and in the feed-forward cells alike. A projection of a graph costs at least
one step: a population behind h of Norse's layers runs h steps after Norse's, z_graph[t + h] = z_norse[t]. That h is its
latency. Where `v_leak` is not 0 the graph's potential of a LIF is v - v_leak. This package's cells take their steps themselves.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import norse.torch as norse
import numpy as np
from torch import Tensor, nn

from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.nir.neurons import always
from neuromorph.train.export import array, neurons, readout_population
from neuromorph.train.layers import LSNNRecurrent, LSNNRecurrentCell
from neuromorph.train.readout import LeakyReadout
from neuromorph.train.stages import Stage, refusal, stages

RECURRENT = (norse.LIFRecurrent, norse.LIFRecurrentCell)
FEED_FORWARD = (norse.LIF, norse.LIFCell)
INTEGRATORS = (norse.LI, norse.LICell)
OURS = (LSNNRecurrent, LSNNRecurrentCell)
EXPORTED = (
    "Norse's LIFRecurrent(Cell), LIF(Cell), LI(Cell), LILinearCell, neuromorph's LSNNRecurrent(Cell), LeakyReadout; between them Linear, "
    "Conv1d, Conv2d, AvgPool2d, Flatten, Dropout; in Sequential, SequentialState and Lift"
)


@dataclass(frozen=True, eq=False)
class Layer:
    """A population, the projections onto it, and how many steps it runs behind the population before."""

    population: LIF | LI
    projections: tuple[Projection, ...]
    behind: int


def export_norse(module: nn.Module, *, dt: float | None = None, shape: tuple[int, ...] | None = None) -> Graph:
    """A live model (one layer, or layers in `SequentialState`, `nn.Sequential` and `Lift`) as a float graph that spikes as it does.

    Populations: "input", "lif_<path of the module>" or "lsnn_<path>" in order, and "readout" where the model ends in a leaky integrator;
    "always", a neuron that fires in every step, where Linear layers or convolutions have biases.
    metadata "latency.<population>": steps by which the graph's population runs after the model's. `dt` [s]: the step the model
    must have; by default that of its modules, which must agree. `shape`: of the input, channels first, where the model starts with a
    convolution.

    Raises:
        GraphError: a module that the graph cannot express exactly (Norse's LSNN, a readout with v_leak, ...); the message names its path.
    """
    found = list(_checked(stages(module, shape)))
    if not found:
        raise refusal("", module, "ends without neurons; add LIF or LI")
    step = next((stage.layer.dt for stage in found if hasattr(stage.layer, "dt")), 1e-3) if dt is None else dt
    source, n_source, latency = "input", _n_in(found[0]), 0
    populations: list[Input | LI | LIF] = [Input(source, n_source)]
    projections: list[Projection] = []
    told: dict[str, str] = {}
    for stage in found:
        if getattr(stage.layer, "dt", step) != step:
            raise refusal(stage.path, stage.layer, f"has dt {stage.layer.dt}; the model's step is {step}, a graph has one")
        if _n_in(stage) != n_source:
            raise refusal(stage.path, stage.layer, f"takes {_n_in(stage)} channels, {source!r} has {n_source}")
        made = _layer(stage, source)
        latency += made.behind
        populations.append(made.population)
        projections += made.projections
        if stage.before is not None and stage.before.bias.any():
            bias = stage.before.bias
            name, neurons = made.population.name, np.arange(len(bias))
            projections.append(Projection.from_entries("always", name, 1, np.zeros(len(bias)), neurons, bias, delays=latency))
        source, n_source = made.population.name, made.population.n
        told |= {f"latency.{source}": str(latency)}
    if any(q.source == "always" for q in projections):
        populations.insert(1, always("always"))
    return Graph(step, tuple(populations), tuple(projections), told)


def _checked(found: Iterator[Stage]) -> Iterator[Stage]:
    """Stages that can be exported, in an order that can."""
    last: Stage | None = None
    for stage in found:
        path, layer, before = stage.path, stage.layer, stage.before
        if last and _is_readout(last.layer):
            raise refusal(before.paths[0] if before else path, layer, "follows a leaky integrator, which never spikes; end the model there")
        if not _own_weights(layer) and type(layer) not in (*FEED_FORWARD, *INTEGRATORS):
            raise refusal(path, layer, f"cannot be said exactly in a graph; exported are {EXPORTED}")
        if _own_weights(layer) and before is not None and not before.is_identity:
            raise refusal(path, layer, f"has its own weights; drop {', '.join(before.paths)} before it")
        if not _own_weights(layer) and before is None:
            raise refusal(path, layer, "has no weights; put an nn.Linear before it")
        last = stage
        yield stage


def _own_weights(layer: nn.Module) -> bool:
    return type(layer) in (*RECURRENT, *OURS, LeakyReadout, norse.LILinearCell)


def _is_readout(layer: nn.Module) -> bool:
    return type(layer) in (*INTEGRATORS, norse.LILinearCell, LeakyReadout)


def _n_in(stage: Stage) -> int:
    if _own_weights(stage.layer):
        return (stage.layer.weights if isinstance(stage.layer, LeakyReadout) else stage.layer.input_weights).shape[1]
    assert stage.before is not None
    return stage.before.n_in


def _layer(stage: Stage, source: str) -> Layer:
    """Norse's layers act in the step of their input, this package's in the next."""
    layer, name = stage.layer, _name(stage)
    if isinstance(layer, OURS):
        parts = ((source, layer.input_weights, layer.input_delays), (name, layer.recurrent_weights, layer.recurrent_delays))
        return Layer(_lsnn(name, layer), tuple(_dense(of, name, weights, delays) for of, weights, delays in parts), 0)
    if isinstance(layer, LeakyReadout):
        return Layer(readout_population(name, layer), (_dense(source, name, layer.weights),), 0)
    if _own_weights(layer):
        recurrent = (_dense(name, name, layer.recurrent_weights),) if type(layer) in RECURRENT else ()
        onto = (_dense(source, name, layer.input_weights), *recurrent)
    else:
        assert stage.before is not None
        entries = stage.before.matrix.tocoo()
        onto = (Projection.from_entries(source, name, stage.before.n_in, entries.col, entries.row, entries.data),)
    n = stage.before.n_out if stage.before is not None and not _own_weights(layer) else len(layer.input_weights)
    return Layer(_integrator(name, stage, n) if _is_readout(layer) else _lif(name, stage, n), onto, 1)


def _name(stage: Stage) -> str:
    parts = [part for part in stage.path.split(".") if part not in ("", "lifted_module")]
    return "readout" if _is_readout(stage.layer) else "_".join(["lsnn" if isinstance(stage.layer, OURS) else "lif", *parts])


def _dense(source: str, target: str, weights: Tensor, delays: Tensor | None = None) -> Projection:
    return Projection.from_dense(source, target, array(weights.to_dense()).T, delays=1 if delays is None else delays.cpu().numpy().T)


def _lsnn(name: str, layer: LSNNRecurrent | LSNNRecurrentCell) -> LIF:
    """An ALIF where a neuron adapts."""
    p = copy.deepcopy(layer.p).double()
    return neurons(name, p, slice(0, p.n), adaptive=bool(array(p.values().kappa).any()))


def _lif(name: str, stage: Stage, n: int) -> LIF:
    p, dt = stage.layer.p, stage.layer.dt
    v_leak, v_th, v_reset = _number(p.v_leak), _number(p.v_th), _number(p.v_reset)
    if np.any(v_th < v_leak):
        raise refusal(stage.path, stage.layer, "has v_th below v_leak and fires before any input; raise v_th")
    gain, k_s = _number(dt * p.tau_mem_inv), _number(dt * p.tau_syn_inv)
    above, back = v_th - v_leak, v_reset - v_leak
    return LIF.of(name, n, decay_v=1 - gain, decay_u=1 - k_s, gain=gain, v_th=above, v_reset=back, reset="to_value")


def _integrator(name: str, stage: Stage, n: int) -> LI:
    p, dt = stage.layer.p, stage.layer.dt
    if np.any(_number(p.v_leak)):
        raise refusal(stage.path, stage.layer, "is a readout with v_leak; a graph's starts at 0: set v_leak=0 and add it to y yourself")
    gain, k_s = _number(dt * p.tau_mem_inv), _number(dt * p.tau_syn_inv)
    return LI.of(name, n, decay_v=1 - gain, decay_u=1 - k_s, gain=gain)


def _number(value: Tensor | float) -> np.ndarray:
    """A constant in float64, after the arithmetic that Norse does with it (in float32 for its default parameters)."""
    return array(value) if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64)
