"""An episode in which inputs depend on what the network did: run without gradients, then differentiated exactly."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from neuromorph.errors import TrainingError
from neuromorph.train.plastic.core import PlasticCore


class Episode:
    """`step` as often as `steps`, then `finish`: the hidden states of all steps for a loss, such as that of a policy gradient.

    Inputs count as constants. On the kernels a step keeps activations alone and H is followed anew in the backward pass;
    elsewhere PyTorch's autograd keeps every H. Parameters must not change between the first step and the backward pass.
    """

    def __init__(self, core: PlasticCore, steps: int, state: Any) -> None:
        self.core, self.steps, self.start = core, steps, state
        self.inputs: list[Tensor] = []
        self.modulations: list[Tensor] = []
        self.hidden: list[Tensor] = []
        self.state = state
        self.tape = core.tape(steps, core.parts(state)) if core.runs_compiled() else None

    def step(
        self, x: Float[Tensor, "batch n_in"], modulation: Float[Tensor, "batch"] | Float[Tensor, "batch n"] | None = None
    ) -> Float[Tensor, "batch n"]:
        """The hidden state after one more step, without gradient.

        Raises:
            TrainingError: the episode is over, or `modulation` does not fit the rule.
        """
        if len(self.inputs) == self.steps:
            raise TrainingError(f"Episode: all of its {self.steps} steps have been made; ask for more when it starts.")
        self.core.check(modulation is not None)
        x = x.detach().clone()  # the environment may write into its own
        self.inputs.append(x)
        if modulation is not None:
            self.modulations.append(modulation)
        if self.tape is None:
            h, self.state = self.core.step(x, self.state, modulation)
            self.hidden.append(h)
            return h.detach()
        with torch.no_grad():
            drive = linear(x, self.core.input_weights, self.core.bias)
            M = None if modulation is None else modulation.reshape(1, len(x), -1).expand(-1, -1, self.core.n)
            return self.tape.advance(drive.unsqueeze(0), M)[0]

    def finish(self) -> tuple[Float[Tensor, "time batch n"], Any]:
        """Hidden states of the steps that were made and the last state, with gradients to parameters, first state and modulation.

        Raises:
            TrainingError: no step has been made.
        """
        if not self.inputs:
            raise TrainingError("Episode: no step has been made, so there is nothing to differentiate.")
        if self.tape is None:
            return torch.stack(self.hidden), self.state
        drive = linear(torch.stack(self.inputs), self.core.input_weights, self.core.bias)
        modulation = torch.stack(self.modulations) if self.modulations else None
        return self.core.finished(self.tape, drive, self.core.parts(self.start, modulation))
