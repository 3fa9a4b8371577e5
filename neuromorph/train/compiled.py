"""LSNN layers on compiled kernels: from modules to what `kernels.sequence` runs on CPUs and `kernels.triton_lsnn` on GPUs."""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuromorph.train.constants import LSNNConstants
from neuromorph.train.delays import delayed_linear
from neuromorph.train.kernels.neuron import BELLEC, MULTI_GAUSSIAN, SUPER, TRIANGLE
from neuromorph.train.kernels.sequence import Plan, Result, run
from neuromorph.train.layers import LSNNRecurrent
from neuromorph.train.readout import LeakyReadout
from neuromorph.train.sparse import SparseSynapses
from neuromorph.train.surrogate import Bellec, MultiGaussian, NorseSurrogate, SpikeFunction

DTYPES = (torch.float32, torch.float64)


WIDEST = 1024
"""Neurons of a layer whose state fits the registers of a GPU's multiprocessor."""


def can_run(layer: LSNNRecurrent) -> bool:
    """Whether a kernel knows this layer: on the CPU or a GPU (up to `WIDEST` neurons), in a number type and with a surrogate it has."""
    weights = layer.recurrent_weights
    here = weights.device.type == "cpu" or (weights.device.type == "cuda" and len(weights) <= WIDEST and find_spec("triton") is not None)
    return here and weights.dtype in DTYPES and _surrogate(layer.p.surrogate) is not None


def run_layer(
    layer: LSNNRecurrent,
    x: Tensor,
    *,
    readout: LeakyReadout | None = None,
    readout_delays: Tensor | None = None,
    window: int | None = None,
    spikes: bool = True,
    overshoot: bool = False,
    live_gradients: bool = False,
) -> Result:
    """The layer, and the readout of its spikes if given, over the whole of x [time, batch, n_in]; see `Plan` and `Result`.

    x: spikes of any type, or numbers (analog input), which are weighted outside of the kernel.
    """
    if layer.recurrent_weights.device.type == "cuda":
        options = {"window": window, "spikes": spikes, "overshoot": overshoot, "live_gradients": live_gradients}
        return run_on_gpu(layer, x, readout=readout, readout_delays=readout_delays, **options)
    weights, drive = layer.input_weights, None
    delays = [_steps(layer.input_delays, weights), _steps(layer.recurrent_delays, layer.recurrent_weights)]
    if not _binary(x):
        drive = delayed_linear(x.to(weights), weights, delays[0])
        x, weights, delays[0] = x[..., :0].bool(), weights[:, :0], delays[0][:, :0]
    plan = Plan(
        **_forms(layer.p),
        input_delays=delays[0].numpy(),
        recurrent_delays=delays[1].numpy(),
        readout=None if readout is None else _integrators(readout),
        readout_delays=None if readout is None else _steps(readout_delays, readout.weights).numpy(),
        window=window,
        spikes=spikes,
        overshoot=overshoot,
        live_gradients=live_gradients,
    )
    return run(plan, x, drive, weights, layer.recurrent_weights, None if readout is None else readout.weights, layer.p.values())


def can_run_edges(p: LSNNConstants) -> bool:
    """As `can_run`, for `run_edges`: on the CPU alone."""
    return p.v_th.device.type == "cpu" and p.v_th.dtype in DTYPES and _surrogate(p.surrogate) is not None


def run_edges(
    p: LSNNConstants,
    x: Tensor,
    projections: Mapping[str, SparseSynapses],
    readout: LeakyReadout,
    *,
    window: int | None = None,
    spikes: bool = True,
    overshoot: bool = False,
) -> Result:
    """As `run_layer`, from projections "input", "recurrent" and "readout" of live synapses (`readout`: its integrators)."""
    inputs, recurrent, read = (projections[name] for name in ("input", "recurrent", "readout"))
    weights, ends, delays, drive = inputs.weights, _ends(inputs), inputs.delays.numpy(), None
    if not _binary(x):
        drive = inputs(x.to(p.v_th))
        x, weights, delays = x[..., :0].bool(), weights[:0], delays[:0]
        ends = ends[0][:0], ends[1][:0]
    plan = Plan(
        **_forms(p),
        input_delays=delays,
        recurrent_delays=recurrent.delays.numpy(),
        ends=(ends, _ends(recurrent)),
        readout=_integrators(readout),
        readout_delays=_laid_out(read, read.delays, 1).numpy(),
        window=window,
        spikes=spikes,
        overshoot=overshoot,
    )
    return run(plan, x, drive, weights, recurrent.weights, _laid_out(read, read.weights, 0), p.values())


def run_on_gpu(
    layer: LSNNRecurrent,
    x: Tensor,
    *,
    readout: LeakyReadout | None = None,
    readout_delays: Tensor | None = None,
    window: int | None = None,
    spikes: bool = True,
    overshoot: bool = False,
    live_gradients: bool = False,
) -> Result:
    """As `run_layer`, by Triton."""
    from neuromorph.train.kernels import triton_lsnn

    form = triton_lsnn.Form(**_forms(layer.p), keep=torch.is_grad_enabled() or overshoot)
    options = {"window": window, "overshoot": overshoot, "live_gradients": live_gradients}
    r = triton_lsnn.run(layer, form, x, readout=readout, readout_delays=readout_delays, **options)
    return r if spikes else r._replace(spikes=None)


def _forms(p: LSNNConstants) -> dict[str, Any]:
    """The part of a plan that the neurons decide."""
    surrogate = _surrogate(p.surrogate)
    if surrogate is None:
        raise ValueError(f"no compiled surrogate {p.surrogate}")
    reset, adaptation = p.reset == "subtract", p.adaptation == "threshold"
    return {"subtract": reset, "by_threshold": adaptation, "surrogate": surrogate[0], "psi": surrogate[1]}


def _integrators(readout: LeakyReadout) -> dict[str, np.ndarray]:
    return {name: getattr(readout, name).double().numpy() for name in ("decay_v", "decay_u", "gain", "bias")}


def _ends(projection: SparseSynapses) -> tuple[np.ndarray, np.ndarray]:
    return projection.source.long().numpy(), projection.target.long().numpy()


def _laid_out(projection: SparseSynapses, values: Tensor, elsewhere: int) -> Tensor:
    """One value a live synapse as a matrix [n_target, n_source]."""
    flat = values.new_full((projection.n_target * projection.n_source,), elsewhere)
    return flat.index_copy(0, projection.codes, values).view(projection.n_target, projection.n_source)


def _surrogate(function: SpikeFunction) -> tuple[int, tuple[float, ...]] | None:
    """Number and parameters of a surrogate in the kernel."""
    match function:
        case Bellec(gamma):
            return BELLEC, (gamma, 1.0)
        case MultiGaussian(gamma, sigma, scale, height):
            wide = scale * sigma
            peaks = [gamma * share / (width * math.sqrt(2 * math.pi)) for share, width in ((1 + height, sigma), (height, wide))]
            return MULTI_GAUSSIAN, (1 / (math.sqrt(2) * sigma), peaks[0], 1 / (math.sqrt(2) * wide), peaks[1], sigma)
        case NorseSurrogate("super"):
            return SUPER, (1.0,)
        case NorseSurrogate("triangle", alpha):
            return TRIANGLE, (1.0, alpha)
        case _:
            return None


def _steps(delays: Tensor | None, weights: Tensor) -> Tensor:
    return torch.ones(weights.shape, dtype=torch.int64) if delays is None else delays


def _binary(x: Tensor) -> bool:
    return x.dtype == torch.bool or bool(((x == 0) | (x == 1)).all())
