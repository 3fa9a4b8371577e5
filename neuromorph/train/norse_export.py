"""From Norse's own LIF models to a graph: Euler decays, synaptic current, hard reset.

Norse 1.1.0 computes, with k_m = dt tau_mem_inv and k_s = dt tau_syn_inv (`functional/lif.py`, `leaky_integrator.py`):

    i' = i + W x[t] + W_rec z[t-1];   v' = v + k_m ((v_leak - v) + i');   z[t] = v' > v_th
    v = v_reset where z[t], else v';   i = i' - k_s i'

So i' is our u with decay_u = 1 - k_s, and decay_v = 1 - k_m, gain = k_m, reset to a value. Input acts without delay,
recurrence after one step, in the recurrent and in the feed-forward cells alike. A projection of a graph costs at least
one step: a population behind h projections runs h steps after Norse's, z_graph[t + h] = z_norse[t]. That h is its
latency. Where `v_leak` is not 0 the graph's potential of a LIF is v - v_leak.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import norse.torch as norse
import numpy as np
from torch import Tensor, nn

from neuromorph.errors import GraphError
from neuromorph.graph import LI, LIF, Graph, Input, Projection
from neuromorph.train.export import array

RECURRENT = (norse.LIFRecurrent, norse.LIFRecurrentCell)
FEED_FORWARD = (norse.LIF, norse.LIFCell)
INTEGRATORS = (norse.LI, norse.LICell)
EXPORTED = "LIFRecurrent(Cell); LIF(Cell) and LI(Cell), each after an nn.Linear without bias; LILinearCell; all in SequentialState or Lift"


@dataclass(frozen=True)
class Stage:
    """A Norse layer with the weights [n, n_source] onto it and, where it has them, its recurrent weights [n, n]."""

    path: str
    layer: Any
    weights: np.ndarray
    recurrent: np.ndarray | None = None

    @property
    def is_readout(self) -> bool:
        return isinstance(self.layer, (*INTEGRATORS, norse.LILinearCell))

    @property
    def name(self) -> str:
        parts = [part for part in self.path.split(".") if part not in ("", "lifted_module")]
        return "readout" if self.is_readout else "_".join(["lif", *parts])


def export_norse(module: nn.Module, *, dt: float | None = None) -> Graph:
    """A Norse model (one layer, or layers in `SequentialState` and `Lift`) as a float graph that spikes as it does.

    Populations: "input", "lif_<path of the module>" in order, and "readout" where the model ends in a leaky integrator.
    metadata "latency.<population>": steps by which the graph's population runs after Norse's. `dt` [s]: the step the
    model must have; by default that of its modules, which must agree.

    Raises:
        GraphError: a module that the graph cannot express exactly (bias in nn.Linear, LSNN, convolution, a readout with
            v_leak, ...); the message names the module's path.
    """
    stages = list(_stages(module))
    step = stages[0].layer.dt if dt is None else dt
    source, n_source = "input", stages[0].weights.shape[1]
    populations: list[Input | LI | LIF] = [Input(source, n_source)]
    projections: list[Projection] = []
    for stage in stages:
        if stage.layer.dt != step:
            raise _refusal(stage.path, stage.layer, f"has dt {stage.layer.dt}; the model's step is {step}, a graph has one")
        if stage.weights.shape[1] != n_source:
            raise _refusal(stage.path, stage.layer, f"takes {stage.weights.shape[1]} channels, {source!r} has {n_source}")
        populations.append(_readout(stage) if stage.is_readout else _lif(stage))
        projections.append(Projection.from_dense(source, stage.name, stage.weights.T))
        if stage.recurrent is not None:
            projections.append(Projection.from_dense(stage.name, stage.name, stage.recurrent.T))
        source, n_source = stage.name, len(stage.weights)
    latency = {f"latency.{stage.name}": str(hops) for hops, stage in enumerate(stages, 1)}
    return Graph(step, tuple(populations), tuple(projections), latency)


def _layers(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested containers, in the order in which they run, with their paths."""
    if type(module) is norse.Lift:
        yield from _layers(module.lifted_module, f"{path}.lifted_module".lstrip("."))
    elif type(module) is norse.SequentialState:
        for name, child in module.named_children():
            yield from _layers(child, f"{path}.{name}".lstrip("."))
    else:
        yield path, module


def _stages(module: nn.Module) -> Iterator[Stage]:
    """Layers with the weights onto them: their own, or those of the nn.Linear before."""
    linear: tuple[str, nn.Linear] | None = None
    last: Stage | None = None
    for path, layer in _layers(module, ""):
        if last and last.is_readout:
            raise _refusal(path, layer, "follows a leaky integrator, which never spikes; end the model there")
        if type(layer) is nn.Linear:
            if linear or layer.bias is not None:
                raise _refusal(path, layer, "follows another nn.Linear; merge them" if linear else "has a bias; build it with bias=False")
            linear = (path, layer)
            continue
        last = _stage(path, layer, None if linear is None else linear[1])
        linear = None
        yield last
    if linear or last is None:
        raise _refusal(linear[0] if linear else "", linear[1] if linear else module, "ends without neurons; add LIF or LI")


def _stage(path: str, layer: Any, linear: nn.Linear | None) -> Stage:
    kind = type(layer)
    own = kind in RECURRENT or kind is norse.LILinearCell
    if not own and kind not in (*FEED_FORWARD, *INTEGRATORS):
        raise _refusal(path, layer, f"cannot be said exactly in a graph; exported are {EXPORTED}")
    if own == (linear is not None):
        raise _refusal(
            path, layer, "has its own weights; drop the nn.Linear before it" if own else "has no weights; put an nn.Linear before it"
        )
    weights: Tensor = layer.input_weights if linear is None else linear.weight
    return Stage(path, layer, _dense(weights), _dense(layer.recurrent_weights) if kind in RECURRENT else None)


def _lif(stage: Stage) -> LIF:
    p, dt, n = stage.layer.p, stage.layer.dt, len(stage.weights)
    v_leak, v_th, v_reset = _number(p.v_leak), _number(p.v_th), _number(p.v_reset)
    if np.any(v_th < v_leak):
        raise _refusal(stage.path, stage.layer, "has v_th below v_leak and fires before any input; raise v_th")
    gain, k_s = _number(dt * p.tau_mem_inv), _number(dt * p.tau_syn_inv)
    return LIF.of(
        stage.name, n, decay_v=1 - gain, decay_u=1 - k_s, gain=gain, v_th=v_th - v_leak, v_reset=v_reset - v_leak, reset="to_value"
    )


def _readout(stage: Stage) -> LI:
    p, dt = stage.layer.p, stage.layer.dt
    if np.any(_number(p.v_leak)):
        raise _refusal(stage.path, stage.layer, "is a readout with v_leak; a graph's starts at 0: set v_leak=0 and add it to y yourself")
    gain, k_s = _number(dt * p.tau_mem_inv), _number(dt * p.tau_syn_inv)
    return LI.of(stage.name, len(stage.weights), decay_v=1 - gain, decay_u=1 - k_s, gain=gain)


def _number(value: Tensor | float) -> np.ndarray:
    """A constant in float64, after the arithmetic that Norse does with it (in float32 for its default parameters)."""
    return array(value) if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64)


def _dense(weights: Tensor) -> np.ndarray:
    return array(weights.to_dense())


def _refusal(path: str, layer: nn.Module, why: str) -> GraphError:
    return GraphError(f"Norse export: module {path or '(root)'!r} ({type(layer).__name__}) {why}.")
