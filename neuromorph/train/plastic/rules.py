"""Neuromodulated Hebbian plasticity (Backpropamine; Miconi et al. 2019, arXiv 2002.10585): its options and one update.

Between the n neurons of a layer the weight is w + alpha H. H changes while the network runs, w, alpha, eta and the modulator
change by gradient descent alone. With pre = h_{t-1} [B, n] and post [B, n], the activations after the step (eqs. 2-5):

    hebbian      H = clip(H + eta post pre^T)
    modulated    H = clip(H + M post pre^T)
    retroactive  H = clip(H + M E)  with the old E, then  E = (1 - eta) E + eta post pre^T
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import hardtanh

from neuromorph.errors import TrainingError

OFFERED = {
    "rule": ("none", "hebbian", "modulated", "retroactive"),
    "alpha": ("synapse", "neuron", "one"),
    "eta": ("one", "synapse"),
    "modulator": ("scalar", "fanout", "synapse", "given"),
}


@dataclass(frozen=True)
class Plasticity:
    """How the recurrent weights of a layer change while it runs.

    `alpha`: one strength a synapse, a postsynaptic neuron, or one for all. `eta`: one rate for all, or (rule `hebbian` alone) one a
    synapse. `modulator`: where M comes from in the rules `modulated` and `retroactive`: "scalar", M = tanh(r h + b) for all
    synapses; "fanout", weight_j M + bias_j for the synapses onto neuron j; "synapse", weight_ji M for each; "given", by the caller.
    `clip`: bound of |H|; at the bound H has no gradient. `initial_alpha`: standard deviation; `initial_eta`: value, as training starts.

    Raises:
        TrainingError: an option that is not offered, or a number out of its range.
    """

    rule: str = "modulated"
    alpha: str = "synapse"
    eta: str = "one"
    modulator: str = "scalar"
    clip: float = 1.0
    initial_alpha: float = 0.05
    initial_eta: float = 0.1

    def __post_init__(self) -> None:
        for name, options in OFFERED.items():
            if getattr(self, name) not in options:
                raise TrainingError(f"Plasticity: {name} is {getattr(self, name)!r}; allowed are {', '.join(options)}.")
        if self.eta == "synapse" and self.rule != "hebbian":
            raise TrainingError(f"Plasticity: eta a synapse is for the rule 'hebbian', not {self.rule!r}; set eta to 'one'.")
        if not self.clip > 0 or not self.initial_alpha >= 0 or not 0 <= self.initial_eta <= 1:
            raise TrainingError(f"{self}: clip must be positive, initial_alpha at least 0, initial_eta from 0 to 1.")

    @property
    def plastic(self) -> bool:
        return self.rule != "none"

    @property
    def modulated(self) -> bool:
        """Whether the rule has a third factor M."""
        return self.rule in ("modulated", "retroactive")

    @property
    def learns_modulator(self) -> bool:
        """Whether M is read out of the hidden state by trained weights."""
        return self.modulated and self.modulator != "given"

    @property
    def wide(self) -> bool:
        """Whether M has a trained weight a synapse."""
        return self.learns_modulator and self.modulator == "synapse"

    @property
    def has_eta(self) -> bool:
        return self.rule in ("hebbian", "retroactive")

    @property
    def has_trace(self) -> bool:
        """Whether there is an eligibility trace E."""
        return self.rule == "retroactive"


def update(
    rule: str,
    H: Float[Tensor, "batch _ _"],
    E: Float[Tensor, "batch _ _"],
    pre: Float[Tensor, "batch n"],
    post: Float[Tensor, "batch n"],
    eta: Float[Tensor, "_ _"] | None,
    M: Float[Tensor, "batch _"] | Float[Tensor, "batch n n"] | None,
    clip: float,
) -> tuple[Float[Tensor, "batch _ _"], Float[Tensor, "batch _ _"]]:
    """H and E [B, n, n] after a step, from those before it (eqs. 2-5). `M` [batch, n or 1] acts on the synapses onto each neuron, `M`
    [batch, n, n] on each synapse.
    """
    if rule == "none":
        return H, E
    product = post.unsqueeze(2) * pre.unsqueeze(1)
    if rule == "hebbian":
        assert eta is not None
        return hardtanh(H + eta * product, -clip, clip), E
    assert M is not None
    M = M if M.ndim == 3 else M.unsqueeze(2)
    if rule == "modulated":
        return hardtanh(H + M * product, -clip, clip), E
    assert eta is not None
    return hardtanh(H + M * E, -clip, clip), torch.lerp(E, product, eta)
