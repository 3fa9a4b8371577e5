"""An exported graph that acts: what `train.stepping.Stepper` is for a network in training, on a simulator that goes step by step."""

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from neuromorph.backends.base import StepSession
from neuromorph.graph import Graph
from neuromorph.grid import Grid


class Acting:
    """`graph`, float or integer, with one input and one readout, from the state of silence; readouts in the units of floats."""

    def __init__(self, graph: Graph, session: StepSession) -> None:
        (self.source,), (readout,) = graph.inputs, graph.readouts
        self.name, self.scale = readout.name, Grid.of(graph).scales.get(readout.name, 1.0)
        self.session = session
        session.reset()

    def run(self, x: Shaped[Tensor, "time batch n_in"]) -> Float[Tensor, "time batch n_out"]:
        """The readout of each of the next steps."""
        found = [self.session.step({self.source.name: spikes}).readouts[self.name] for spikes in x.numpy() > 0]
        return torch.from_numpy(np.stack(found) / self.scale).float()
