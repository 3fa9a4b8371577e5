"""An LSNN step by step, for acting: what `LSNN.frames` computes of a whole sequence, as its input comes, without gradients."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from neuromorph.errors import TrainingError
from neuromorph.train.delays import by_delay, longest, send
from neuromorph.train.network import LSNN
from neuromorph.train.neurons import fire, post, silence


class Stepper:
    """The state of `model` for a batch, from silence; weights as they are when it is made.

    Raises:
        TrainingError: the model is bidirectional: it needs the end of a sequence first.
    """

    @torch.no_grad()
    def __init__(self, model: LSNN, batch: int) -> None:
        if model.config.bidirectional:
            raise TrainingError(
                "Stepper: the model is bidirectional, it cannot act before its input ends; take one with bidirectional=False."
            )
        layers = list(model.layers().values())
        self.constants = [layer.p.values() for layer in layers]
        self.active = [c.active() for c in self.constants]
        self.forms = [layer.p.form for layer in layers]
        self.inputs = [by_delay(layer.input_weights, layer.input_delays) for layer in layers]
        self.recurrent = [by_delay(layer.recurrent_weights, layer.recurrent_delays) for layer in layers]
        rooms = [max(longest(layer.input_delays), longest(layer.recurrent_delays)) for layer in layers]
        self.states = [silence((batch,), layer.p, room) for layer, room in zip(layers, rooms)]
        self.readout, self.matrices = model.readout, by_delay(model.readout.weights, model.readout_delays)
        self.y = self.u = self.matrices.new_zeros(batch, model.n_out)
        self.waiting = self.matrices.new_zeros(batch, len(self.matrices), model.n_out)

    @torch.no_grad()
    def run(self, x: Shaped[Tensor, "time batch n_in"]) -> Float[Tensor, "time batch n_out"]:
        """The readout of each of the next steps."""
        trace = []
        for arriving in send(x.to(self.matrices), self.inputs[0]).unbind(0):
            trace.append(self._read(self._fire(arriving)))
        return torch.stack(trace)

    def _fire(self, sent: Float[Tensor, "batch delay n"]) -> Float[Tensor, "batch n"]:
        """One step of all layers; spikes of the uppermost."""
        for k, state in enumerate(self.states):
            state = fire(state, self.constants[k], self.active[k], self.forms[k])
            sent = sent if k == 0 else send(self.states[k - 1].z, self.inputs[k])
            self.states[k] = post(state, sent, send(state.z, self.recurrent[k]))
        return self.states[-1].z

    def _read(self, z: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n_out"]:
        """One step of the readout's integrators."""
        r = self.readout
        self.u = r.decay_u * self.u + self.waiting[:, 0]
        self.y = r.decay_v * self.y + r.gain * self.u + r.bias
        self.waiting = torch.cat([self.waiting[:, 1:], torch.zeros_like(self.waiting[:, :1])], 1) + send(z, self.matrices)
        return self.y
