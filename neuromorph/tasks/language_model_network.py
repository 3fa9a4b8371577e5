"""Word-level language models of plastic LSTMs (Miconi et al. 2019, section 4.3): embedding, LSTM layers, softmax over the vocabulary.

Plasticity is on the path from the hidden state to the candidate of each layer. The small model has two layers; the large one has three,
output weights tied to the embedding, and the dropout of AWD-LSTM (Merity et al. 2018, arXiv 1708.02182) without that of weights.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from neuromorph.errors import TrainingError
from neuromorph.train.plastic import Plasticity, PlasticLSTM, PlasticLSTMState

KEPT = ("alpha", "eta")
"""Those parameters of a layer that start as `PlasticCore` has them."""


@dataclass(frozen=True)
class LanguageModelConfig:
    """`layers`: neurons of each; `embedding`: numbers a word; `tied`: its matrix is that of the output too, so that the last layer is as
    wide. Weights and biases, all but alpha and eta, start uniform in [-scale, scale].

    Dropout: `drop_word`, of whole words' embeddings; `drop_embedded`, `drop_hidden`, `drop_output`: of the first layer's inputs, between
    layers, and of the last layer's output, the same neurons on all steps of a window.
    """

    layers: tuple[int, ...] = (100, 100)
    embedding: int = 100
    tied: bool = False
    plasticity: Plasticity = field(default_factory=lambda: Plasticity("none"))
    scale: float = 0.1
    drop_word: float = 0.0
    drop_embedded: float = 0.0
    drop_hidden: float = 0.0
    drop_output: float = 0.0

    def __post_init__(self) -> None:
        drops = (self.drop_word, self.drop_embedded, self.drop_hidden, self.drop_output)
        if not self.layers or min(*self.layers, self.embedding) < 1 or not self.scale > 0 or not all(0 <= p < 1 for p in drops):
            raise TrainingError(f"{self}: layers and embedding must be at least 1, scale positive, dropout from 0 to less than 1.")
        if self.tied and self.layers[-1] != self.embedding:
            raise TrainingError(f"{self}: tied weights need a last layer as wide as the embedding.")


class Reading(NamedTuple):
    """What a model makes of a window: `logits` [T, B, words] of the next word, `states` of the layers after it; the last layer's output
    `raw` [T, B, n] and after dropout, `dropped`.
    """

    logits: Float[Tensor, "time batch words"]
    states: list[PlasticLSTMState]
    raw: Float[Tensor, "time batch n"]
    dropped: Float[Tensor, "time batch n"]


class LanguageModel(nn.Module):
    """A model of `words` words."""

    def __init__(self, config: LanguageModelConfig, words: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.words = config, words
        widths, last = (config.embedding, *config.layers), config.layers[-1]
        self.layers = nn.ModuleList(PlasticLSTM(a, b, config.plasticity, generator=generator) for a, b in pairwise(widths))
        self.embedding = nn.Parameter(torch.empty(words, config.embedding))
        self.output = None if config.tied else nn.Parameter(torch.empty(words, last))
        self.bias = nn.Parameter(torch.zeros(words))
        with torch.no_grad():
            for name, p in self.named_parameters():
                if name.rpartition(".")[2] not in KEPT:
                    p.uniform_(-config.scale, config.scale, generator=generator)

    @property
    def cores(self) -> list[PlasticLSTM]:
        return [layer for layer in self.layers if isinstance(layer, PlasticLSTM)]

    def initial_states(self, batch: int) -> list[PlasticLSTMState]:
        return [core.initial_state(batch) for core in self.cores]

    def forward(
        self, words: Int[Tensor, "time batch"], states: list[PlasticLSTMState], generator: torch.Generator | None = None
    ) -> Reading:
        """Read a window from those states; with a generator dropout is drawn from it, without there is none."""
        config, cores = self.config, self.cores
        x = dropped(self.embedding, (self.words, 1), config.drop_word, generator)[words]
        x = dropped(x, (1, *x.shape[1:]), config.drop_embedded, generator)
        raw, after = x, list[PlasticLSTMState]()
        for core, state in zip(cores, states):
            raw, state = core(x, state)
            after.append(state)
            drop = config.drop_output if core is cores[-1] else config.drop_hidden
            x = dropped(raw, (1, *raw.shape[1:]), drop, generator)
        return Reading(linear(x, self.embedding if self.output is None else self.output, self.bias), after, raw, x)

    @torch.no_grad()
    def constrain(self) -> None:
        """After an update by gradient."""
        for core in self.cores:
            core.constrain()


def dropped(x: Tensor, shape: tuple[int, ...], p: float, generator: torch.Generator | None) -> Tensor:
    """x times a random mask of that shape, which is 0 with probability p and else 1 / (1 - p)."""
    if generator is None or p == 0:
        return x
    return x * (torch.rand(shape, generator=generator, dtype=x.dtype) >= p) / (1 - p)


def parameters(model: nn.Module) -> int:
    """Their number."""
    return sum(p.numel() for p in model.parameters())
