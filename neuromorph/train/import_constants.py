"""The inverse of `export` for neurons: the constants of a graph's populations back into the LSNN."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from neuromorph.graph import ALIF, LI
from neuromorph.graph.populations import Neurons
from neuromorph.train.blocks import READOUT, layer_populations
from neuromorph.train.constants import LSNNConstants
from neuromorph.train.export import array
from neuromorph.train.network import LSNN
from neuromorph.train.time_constants import BoundedTimes

INSIDE = 1e-5
"""How near to its bounds a learned time constant may come, as a share of what lies between them (on a logarithmic scale)."""


@torch.no_grad()
def import_constants(model: LSNN, populations: Mapping[str, Neurons]) -> None:
    """Put the constants of populations, named as `export` does, into `model`, in place.

    A learned time constant moves to the given decay (as near as its bounds allow), and the gain that follows from it too.
    """
    for layer, parts in zip(model.layers().values(), layer_populations(model).values()):
        found = [populations[name] for name in parts]
        _set(layer.p, {field: np.concatenate([getattr(p, field, np.zeros(p.n)) for p in found]) for field in ALIF.PARAMETERS})
    for field in LI.PARAMETERS:
        _copy(getattr(model.readout, field), getattr(populations[READOUT], field))


def _set(p: LSNNConstants, values: dict[str, np.ndarray]) -> None:
    if p.tau_m is not None:
        _move(p.tau_m, values.pop("decay_v"))
        del values["gain"]
    if p.tau_a is not None:
        adapting = p.adapting.cpu().numpy()
        _move(p.tau_a, values.pop("decay_a")[adapting])
        _copy(p.beta, values.pop("kappa")[adapting] / array(p.tau_a.rise()))
    for field, value in values.items():
        _copy(getattr(p, field), value)


def _move(times: BoundedTimes, decay: np.ndarray) -> None:
    share = np.log(-times.dt / np.log(decay) / times.low) / np.log(times.high / times.low)
    share = np.clip(share, INSIDE, 1 - INSIDE)
    _copy(times.raw, np.log(share / (1 - share)))


def _copy(tensor: Tensor, values: np.ndarray) -> None:
    tensor.copy_(torch.from_numpy(values.copy()))
