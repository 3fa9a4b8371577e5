"""From a trained LSNN to a graph: the constants and weights exactly as the cell used them, in float64."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neuromorph.errors import GraphError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.train.constants import LSNNConstants
from neuromorph.train.network import LSNN


class Synapses(NamedTuple):
    """A matrix of weights, delays [steps] and perhaps signs, all [n_target, n_source]."""

    weights: np.ndarray
    delays: np.ndarray
    signs: np.ndarray | None


def export(model: LSNN, *, signs: dict[str, Tensor] | None = None, metadata: Mapping[str, str] | None = None) -> Graph:
    """The model as a float graph: populations "input", "excitatory", "inhibitory", "adaptive" and "readout".

    Deeper layers have "excitatory_2", ...; empty populations are left out, as are projections without a synapse (weights
    of exactly zero are none). Delays are the model's. What follows from learned time constants is computed in float64,
    as the model converted to float64 does. `signs`: the fixed signs of training (see `LSNN.signs`), kept with each synapse.

    Raises:
        GraphError: a weight is against its sign, or not finite; or the model is bidirectional.
    """
    config = model.config
    if config.bidirectional:
        raise GraphError(
            "Export: the model is bidirectional; its reversed layers start at the end of a sequence, which a chip has not yet seen. "
            "Train one with bidirectional=False."
        )
    sizes = {"excitatory": config.n_excitatory, "inhibitory": config.n_inhibitory, "adaptive": config.n_adaptive}
    matrices = {
        name: Synapses(array(w), model.delays()[name].cpu().numpy(), None if signs is None else array(signs[name]).astype(np.int8))
        for name, w in model.weights().items()
    }
    populations: list[Input | LIF | LI] = [Input("input", model.n_in)]
    projections: list[Projection] = []
    source = {"input": slice(0, model.n_in)}
    for suffix, layer in model.layers().items():
        hidden = _slices({name + suffix: n for name, n in sizes.items() if n})
        projections += _projections(source, hidden, matrices[f"input{suffix}"])
        projections += _projections(hidden, hidden, matrices[f"recurrent{suffix}"])
        constants = copy.deepcopy(layer.p).double()
        populations += [_neurons(name, constants, part, adaptive=name == f"adaptive{suffix}") for name, part in hidden.items()]
        source = hidden
    projections += _projections(source, {"readout": slice(0, model.n_out)}, matrices["readout"])
    populations.append(readout_population("readout", model.readout))
    return Graph(model.dt, tuple(populations), tuple(projections), dict(metadata or {}))


def readout_population(name: str, readout: nn.Module) -> LI:
    """The readout's leaky integrators."""
    constants = {field: array(getattr(readout, field)) for field in LI.PARAMETERS}
    return LI(name, len(constants["decay_v"]), **constants)


def array(tensor: Tensor) -> np.ndarray:
    """A float64 copy outside of torch."""
    return tensor.detach().to("cpu", torch.float64).numpy().copy()


def _slices(sizes: dict[str, int]) -> dict[str, slice]:
    stops = np.cumsum(list(sizes.values())).tolist()
    return {name: slice(stop - n, stop) for (name, n), stop in zip(sizes.items(), stops)}


def _neurons(name: str, p: LSNNConstants, part: slice, *, adaptive: bool) -> LIF:
    kind = ALIF if adaptive else LIF
    values = p.values()
    constants = {field: array(getattr(values, field))[part] for field in kind.PARAMETERS}
    constants["n_ref"] = constants["n_ref"].astype(np.int64)
    forms = {form: getattr(p, form) for form in kind.FORMS}
    if not adaptive and array(values.kappa)[part].any():
        raise GraphError(f"Export: {name!r} neurons have kappa > 0 but are LIF; only 'adaptive' neurons may adapt.")
    return kind(name, part.stop - part.start, **constants, **forms)


def _projections(sources: dict[str, slice], targets: dict[str, slice], synapses: Synapses) -> list[Projection]:
    """One projection a pair of populations that has synapses."""
    found: list[Projection] = []
    for source, columns in sources.items():
        for target, rows in targets.items():
            block = synapses.weights[rows, columns].T
            if np.any(block):
                fixed = None if synapses.signs is None else synapses.signs[rows, columns].T
                found.append(Projection.from_dense(source, target, block, delays=synapses.delays[rows, columns].T, signs=fixed))
    return found
