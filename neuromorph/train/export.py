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
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN
from neuromorph.train.sparse import SparseSynapses
from neuromorph.train.sparse_network import SparseLSNN


class Synapses(NamedTuple):
    """A matrix of weights, delays [steps] and perhaps signs, all [n_target, n_source]."""

    weights: np.ndarray
    delays: np.ndarray
    signs: np.ndarray | None


def export(model: LSNN | SparseLSNN, *, signs: dict[str, Tensor] | None = None, metadata: Mapping[str, str] | None = None) -> Graph:
    """The model as a float graph: populations "input", "excitatory", "inhibitory", "adaptive" and "readout".

    Deeper layers have "excitatory_2", ...; empty populations are left out, as are projections without a synapse (weights
    of exactly zero are none). Delays are the model's. What follows from learned time constants is computed in float64,
    as the model converted to float64 does. `signs`: the fixed signs of training (see `LSNN.signs`), kept with each synapse; a
    `SparseLSNN` has its own. Of that one nothing of size n x n is made.

    Raises:
        GraphError: a weight is against its sign, or not finite; or the model is bidirectional.
    """
    if isinstance(model, SparseLSNN):
        return _export_live(model, metadata)
    config = model.config
    if config.bidirectional:
        raise GraphError(
            "Export: the model is bidirectional; its reversed layers start at the end of a sequence, which a chip has not yet seen. "
            "Train one with bidirectional=False."
        )
    matrices = {
        name: Synapses(array(w), model.delays()[name].cpu().numpy(), None if signs is None else array(signs[name]).astype(np.int8))
        for name, w in model.weights().items()
    }
    populations: list[Input | LIF | LI] = [Input("input", model.n_in)]
    projections: list[Projection] = []
    source = {"input": slice(0, model.n_in)}
    for suffix, layer in model.layers().items():
        hidden = _hidden(config, suffix)
        projections += _projections(source, hidden, matrices[f"input{suffix}"])
        projections += _projections(hidden, hidden, matrices[f"recurrent{suffix}"])
        populations += _populations(layer.p, hidden)
        source = hidden
    projections += _projections(source, {"readout": slice(0, model.n_out)}, matrices["readout"])
    populations.append(readout_population("readout", model.readout))
    return Graph(model.dt, tuple(populations), tuple(projections), dict(metadata or {}))


def _export_live(model: SparseLSNN, metadata: Mapping[str, str] | None) -> Graph:
    inputs, hidden, read = {"input": slice(0, model.n_in)}, _hidden(model.config, ""), {"readout": slice(0, model.n_out)}
    ends = ((inputs, hidden), (hidden, hidden), (hidden, read))
    projections = [each for pair, synapses in zip(ends, model.projections().values()) for each in _live_projections(*pair, synapses)]
    populations = (Input("input", model.n_in), *_populations(model.p, hidden), readout_population("readout", model.readout))
    return Graph(model.dt, populations, tuple(projections), dict(metadata or {}))


def readout_population(name: str, readout: nn.Module) -> LI:
    """The readout's leaky integrators."""
    constants = {field: array(getattr(readout, field)) for field in LI.PARAMETERS}
    return LI(name, len(constants["decay_v"]), **constants)


def array(tensor: Tensor) -> np.ndarray:
    """A float64 copy outside of torch."""
    return tensor.detach().to("cpu", torch.float64).numpy().copy()


def _hidden(config: LSNNConfig, suffix: str) -> dict[str, slice]:
    """The populations of a layer and which of its neurons they are."""
    sizes = {"excitatory": config.n_excitatory, "inhibitory": config.n_inhibitory, "adaptive": config.n_adaptive}
    return _slices({name + suffix: n for name, n in sizes.items() if n})


def _slices(sizes: dict[str, int]) -> dict[str, slice]:
    stops = np.cumsum(list(sizes.values())).tolist()
    return {name: slice(stop - n, stop) for (name, n), stop in zip(sizes.items(), stops)}


def _populations(p: LSNNConstants, parts: dict[str, slice]) -> list[LIF]:
    constants = copy.deepcopy(p).double()
    return [neurons(name, constants, part, adaptive=name.startswith("adaptive")) for name, part in parts.items()]


def neurons(name: str, p: LSNNConstants, part: slice, *, adaptive: bool) -> LIF:
    """Those of a layer (in float64) from `part`, as an ALIF or a LIF.

    Raises:
        GraphError: neurons that are no ALIF adapt.
    """
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


def _live_projections(sources: dict[str, slice], targets: dict[str, slice], synapses: SparseSynapses) -> list[Projection]:
    """As `_projections`, without a matrix."""
    source, target, signs, delays = (t.cpu().numpy() for t in (synapses.source, synapses.target, synapses.signs, synapses.delays))
    by_source, weights, found = np.lexsort((target, source)), array(synapses.weights), list[Projection]()
    for source_name, columns in sources.items():
        for target_name, rows in targets.items():
            inside = (source >= columns.start) & (source < columns.stop) & (target >= rows.start) & (target < rows.stop) & (weights != 0)
            chosen = by_source[inside[by_source]]
            fan_out = np.bincount(source[chosen] - columns.start, minlength=columns.stop - columns.start)
            indptr, indices = np.concatenate([[0], np.cumsum(fan_out)]).astype(np.int64), target[chosen].astype(np.int64) - rows.start
            values = indptr, indices, weights[chosen], delays[chosen]
            if len(chosen):
                name = f"{source_name}->{target_name}"
                found.append(Projection(name, source_name, target_name, *values, signs=signs[chosen].astype(np.int8)))
    return found
