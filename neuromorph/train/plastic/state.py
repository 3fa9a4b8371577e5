"""The states of plastic layers: explicit, a value a sample, and never changed in place."""

from typing import NamedTuple

from torch import Tensor


class PlasticRNNState(NamedTuple):
    """Before a step: activations h [B, n], Hebbian part H and eligibility trace E [B, n, n], row j the synapses onto neuron j.

    H is [B, 0, 0] where nothing is plastic, E where the rule has no trace.
    """

    h: Tensor
    H: Tensor
    E: Tensor

    def detach(self) -> "PlasticRNNState":
        """The same values without their history, for truncated BPTT."""
        return PlasticRNNState(*(each.detach() for each in self))


class PlasticLSTMState(NamedTuple):
    """As `PlasticRNNState`, with the cells c [B, n]."""

    h: Tensor
    c: Tensor
    H: Tensor
    E: Tensor

    def detach(self) -> "PlasticLSTMState":
        """The same values without their history, for truncated BPTT."""
        return PlasticLSTMState(*(each.detach() for each in self))


PlasticState = PlasticRNNState | PlasticLSTMState
