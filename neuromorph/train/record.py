"""The PyTorch network as one more simulator: run it in float64 and record it like any backend."""

import numpy as np
import torch

from neuromorph.graph import LIF, Graph
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from neuromorph.train.storage import Network


@torch.no_grad()
def record(model: Network, graph: Graph, inputs: Spikes) -> Recording:
    """Spikes and readouts of `model` on `inputs`, by the populations of `graph` (its export).

    The model's dtype counts: give a float64 model where it must agree with other simulators spike for spike.
    """
    dtype = next(model.parameters()).dtype
    y, z = model(torch.from_numpy(inputs.to_dense()).to(dtype))
    hidden = [p for p in graph.populations if isinstance(p, LIF)]
    ends = np.cumsum([p.n for p in hidden])
    fired = z.numpy() > 0
    return Recording(
        backend="torch",
        precision="float",
        graph_digest=graph.digest(),
        dt=graph.dt,
        n_samples=inputs.n_samples,
        n_steps=inputs.n_steps,
        spikes={p.name: Spikes.from_dense(fired[:, :, end - p.n : end], graph.dt) for p, end in zip(hidden, ends)},
        readouts={p.name: y.numpy().astype(np.float64) for p in graph.readouts},
    )
