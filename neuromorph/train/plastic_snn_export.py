"""From a trained plastic spiking network to its graph."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Plasticity, Projection
from neuromorph.train.plastic_snn import PlasticSNN

THIRD_FACTOR, MODULATOR = "reward", "modulator"


def export_plastic(model: PlasticSNN, metadata: Mapping[str, str] | None = None) -> Graph:
    """Populations "input", "hidden" (ALIF where any neurons adapt, of kappa 0 for the others) and "readout"; the recurrent projection is
    plastic by the signal "reward", or by the readout "modulator" of a network that has one. Every recurrent synapse is kept, also one of no
    weight.
    """
    c = model.config
    hidden = LIF.of("hidden", c.n, decay_v=c.decay(c.tau_m), v_th=c.v_th)
    if c.n_adaptive:
        kappa = _array(model.kappa)
        hidden = ALIF.of("hidden", c.n, decay_v=c.decay(c.tau_m), v_th=c.v_th, decay_a=c.decay(c.tau_a), kappa=kappa)
    readout = LI.of("readout", model.n_out, decay_v=c.decay(c.tau_out), gain=1.0, bias=_array(model.bias))
    recurrent = _everything("hidden", "hidden", _array(model.w).T)
    if c.plastic:
        third = "" if c.rule == "hebbian" else MODULATOR if c.modulator else THIRD_FACTOR
        rule = Plasticity(
            c.rule,
            np.broadcast_to(_array(model.alpha).T, (c.n, c.n)).reshape(-1).copy(),
            eta=float(model.eta),
            decay_pre=c.decay(c.tau_pre),
            clip=c.clip,
            third_factor=third,
            third_limit=c.third_limit,
            post_offset=c.post_offset,
        )
        recurrent = replace(recurrent, plasticity=rule)
    projections = (
        Projection.from_dense("input", "hidden", _array(model.w_in).T),
        recurrent,
        Projection.from_dense("hidden", "readout", _array(model.w_out).T),
    )
    populations = Input("input", model.n_in), hidden, readout
    if c.modulator:
        populations = *populations, LI.of(MODULATOR, 1, decay_v=c.decay(c.tau_mod), gain=1.0)
        unseen = np.zeros((model.n_in - c.modulator, 1))
        projections = *projections, Projection.from_dense("input", MODULATOR, np.vstack([unseen, _array(model.w_mod).T]))
    return Graph(c.dt, populations, projections, dict(metadata or {}))


def _everything(source: str, target: str, weights: np.ndarray) -> Projection:
    """All pairs, zeros too."""
    n, m = weights.shape
    columns, delays = np.tile(np.arange(m, dtype=np.int64), n), np.ones(n * m, np.int64)
    return Projection(f"{source}->{target}", source, target, np.arange(0, n * m + 1, m), columns, weights.reshape(-1), delays)


def _array(x: Tensor) -> np.ndarray:
    with torch.no_grad():
        return x.detach().double().cpu().numpy().copy()
