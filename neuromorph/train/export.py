"""From a trained LSNN to a graph: the constants and weights exactly as the cell used them, in float64."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from neuromorph.errors import GraphError
from neuromorph.graph import ALIF, LI, LIF, Graph, Input, Projection
from neuromorph.train.network import LSNN


def export(model: LSNN, *, signs: dict[str, Tensor] | None = None, metadata: Mapping[str, str] | None = None) -> Graph:
    """The model as a float graph: populations "input", "excitatory", "inhibitory", "adaptive" and "readout".

    Empty populations are left out, as are projections without a synapse (weights of exactly zero are none). Delays
    are the model's. `signs`: the fixed signs of training (see `LSNN.signs`), kept with each synapse.

    Raises:
        GraphError: a weight is against its sign, or not finite.
    """
    config = model.config
    sizes = {"excitatory": config.n_excitatory, "inhibitory": config.n_inhibitory, "adaptive": config.n_adaptive}
    hidden = _slices({name: n for name, n in sizes.items() if n})
    ends = {"input": {"input": slice(0, config.n_in)}, "hidden": hidden, "readout": {"readout": slice(0, config.n_out)}}
    matrices = {name: array(weights) for name, weights in model.weights().items()}
    delays = {name: steps.cpu().numpy() for name, steps in model.delays().items()}
    fixed = {name: None if signs is None else array(signs[name]).astype(np.int8) for name in matrices}
    projections = [
        projection
        for name, source, target in (("input", "input", "hidden"), ("recurrent", "hidden", "hidden"), ("readout", "hidden", "readout"))
        for projection in _projections(ends[source], ends[target], matrices[name], delays[name], fixed[name])
    ]
    p = model.hidden.p
    spiking = [_neurons(name, p, part, adaptive=name == "adaptive") for name, part in hidden.items()]
    populations = (Input("input", config.n_in), *spiking, readout_population("readout", model.readout))
    return Graph(config.dt, populations, tuple(projections), dict(metadata or {}))


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


def _neurons(name: str, p: nn.Module, part: slice, *, adaptive: bool) -> LIF:
    kind = ALIF if adaptive else LIF
    constants = {field: array(getattr(p, field))[part] for field in kind.PARAMETERS}
    constants["n_ref"] = constants["n_ref"].astype(np.int64)
    forms = {form: getattr(p, form) for form in kind.FORMS}
    if not adaptive and array(p.get_buffer("kappa"))[part].any():
        raise GraphError(f"Export: {name!r} neurons have kappa > 0 but are LIF; only 'adaptive' neurons may adapt.")
    return kind(name, part.stop - part.start, **constants, **forms)


def _projections(
    sources: dict[str, slice], targets: dict[str, slice], matrix: np.ndarray, delays: np.ndarray, signs: np.ndarray | None
) -> list[Projection]:
    """One projection a pair of populations that has synapses; `matrix`, `delays`, `signs` are [n_target, n_source]."""
    found: list[Projection] = []
    for source, columns in sources.items():
        for target, rows in targets.items():
            block = matrix[rows, columns].T
            if np.any(block):
                fixed = None if signs is None else signs[rows, columns].T
                found.append(Projection.from_dense(source, target, block, delays=delays[rows, columns].T, signs=fixed))
    return found
