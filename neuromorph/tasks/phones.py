"""Frame-wise phone recognition: which phone is spoken, every 10 ms of an utterance (Bellec et al. 2018, LSNN, on TIMIT).

Features come in as spikes, which chips take, or as numbers, which they do not; a network answers in every frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn.functional import pad

from neuromorph.data.phones.corpus import NOT_COUNTED, Framed
from neuromorph.data.phones.mfcc import N_FEATURES
from neuromorph.data.phones.timit import CLASSES
from neuromorph.errors import TrainingError
from neuromorph.train.lsnn_config import LSNNConfig
from neuromorph.train.network import LSNN

N_CLASSES = len(CLASSES)


@dataclass(frozen=True)
class Encoding:
    """How a frame of normalised features becomes `steps_per_frame` steps of input of `dt` [s].

    "levels": each feature has `n_levels` channels, one for each interval between thresholds that lie evenly from -`reach` to
    `reach` standard deviations; the one that holds the value spikes in the frame's first step. "analog": the values themselves, in
    every step (Bellec et al. 2020's code for TIMIT).

    Raises:
        TrainingError: a number is out of range.
    """

    kind: Literal["levels", "analog"] = "levels"
    n_levels: int = 8
    reach: float = 1.5
    steps_per_frame: int = 3
    dt: float = 1e-3

    def __post_init__(self) -> None:
        if self.n_levels < 3 or self.steps_per_frame < 1 or not (self.reach > 0 and self.dt > 0):
            raise TrainingError(f"{self}: at least 3 levels, 1 step a frame, and positive reach and dt are needed.")

    @property
    def n_channels(self) -> int:
        return N_FEATURES * (self.n_levels if self.kind == "levels" else 1)

    def __call__(
        self, features: Float[Tensor, "frames batch 39"], inside: Bool[Tensor, "frames batch"]
    ) -> Bool[Tensor, "steps batch channels"] | Float[Tensor, "steps batch channels"]:
        """The input; nothing comes in where `inside` is false (padding)."""
        steps, n_frames, batch = self.steps_per_frame, len(features), features.shape[1]
        if self.kind == "analog":
            return (features * inside[..., None]).repeat_interleave(steps, dim=0)
        thresholds = torch.linspace(-self.reach, self.reach, self.n_levels - 1)
        levels = torch.bucketize(features.contiguous(), thresholds, right=True)
        spikes = (levels[..., None] == torch.arange(self.n_levels)).flatten(2) & inside[..., None]
        found = spikes.new_zeros(n_frames, steps, batch, self.n_channels)
        found[:, 0] = spikes
        return found.flatten(0, 1)


class Batch(NamedTuple):
    """Utterances side by side: `features` [frames, batch, 39]; `labels`, `inside` (no padding) [frames, batch]."""

    features: Float[Tensor, "frames batch 39"]
    labels: Int[Tensor, "frames batch"]
    inside: Bool[Tensor, "frames batch"]


class Scores(NamedTuple):
    """`logits` [frames, batch, 39 classes]; `rates` of hidden neurons in spikes a step [n], none where nothing spikes."""

    logits: Float[Tensor, "frames batch 39"]
    rates: Float[Tensor, " n"]


def together(utterances: Sequence[Framed], n_frames: int | None = None) -> Batch:
    """A batch as long as its longest utterance, or of `n_frames`; padding comes last."""
    n = n_frames or max(len(each) for each in utterances)
    features = np.zeros((n, len(utterances), N_FEATURES), np.float32)
    labels = np.full((n, len(utterances)), NOT_COUNTED)
    inside = np.zeros((n, len(utterances)), np.bool_)
    for k, each in enumerate(utterances):
        features[: len(each), k], labels[: len(each), k], inside[: len(each), k] = each.features, each.labels, True
    return Batch(torch.from_numpy(features), torch.from_numpy(labels), torch.from_numpy(inside))


def chunks(utterances: Sequence[Framed], n: int, n_frames: int, generator: np.random.Generator) -> Batch:
    """n stretches of at most `n_frames` frames: of a random utterance each, from a random frame on."""

    def one() -> Framed:
        each = utterances[int(generator.integers(len(utterances)))]
        first = int(generator.integers(max(len(each) - n_frames, 0) + 1))
        part = slice(first, first + n_frames)
        return Framed(each.name, each.features[part], each.labels[part])

    return together([one() for _ in range(n)], n_frames)


def errors(logits: Float[Tensor, "frames batch 39"], labels: Int[Tensor, "frames batch"]) -> tuple[int, int]:
    """Wrong frames, and all that count."""
    counted = labels != NOT_COUNTED
    return int((logits.argmax(-1) != labels)[counted].sum()), int(counted.sum())


class SpikingPhones(nn.Module):
    """An LSNN that answers each frame with the mean of its readout over the frame's steps, `delay` frames later.

    The readout times `logit_scale` are logits. A bidirectional network needs no delay; one of one direction then hears a bit of the
    future, and runs on chips.
    """

    def __init__(
        self, config: LSNNConfig, encoding: Encoding, *, generator: torch.Generator, delay: int = 0, logit_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.lsnn = LSNN(config, encoding.n_channels, N_CLASSES, dt=encoding.dt, generator=generator)
        self.encoding, self.delay, self.logit_scale = encoding, delay, logit_scale

    def forward(self, batch: Batch) -> Scores:
        found = self.lsnn.frames(self.input(batch))
        return Scores(self.logit_scale * answers(found.y, self.encoding.steps_per_frame, self.delay), found.rates)

    def input(self, batch: Batch) -> Shaped[Tensor, "steps batch channels"]:
        """What the LSNN hears: the utterances, then silence for the frames that it answers later."""
        late = (0, self.delay)
        return self.encoding(pad(batch.features, (0, 0, 0, 0, *late)), pad(batch.inside, (0, 0, *late)))


def answers(y: Float[Tensor, "steps batch 39"], steps_per_frame: int, delay: int) -> Float[Tensor, "frames batch 39"]:
    """Readout of each frame: its mean over the steps of the frame `delay` later."""
    return y.unflatten(0, (-1, steps_per_frame)).mean(1)[delay:]


class LSTMPhones(nn.Module):
    """A bidirectional LSTM of `n` cells in each direction with a linear readout, on the features themselves."""

    def __init__(self, n: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_FEATURES, n, bidirectional=True)
        self.readout = nn.Linear(2 * n, N_CLASSES)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-(n**-0.5), n**-0.5, generator=generator)

    def forward(self, batch: Batch) -> Scores:
        lengths = batch.inside.sum(0)
        packed = nn.utils.rnn.pack_padded_sequence(batch.features, lengths, enforce_sorted=False)
        z, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], total_length=len(batch.features))
        return Scores(self.readout(z), z.new_zeros(0))


@torch.no_grad()
def frame_error(model: nn.Module, utterances: Sequence[Framed], batch: int = 32) -> float:
    """Share of wrong frames over whole utterances."""
    by_length = sorted(utterances, key=len)
    wrong, counted = 0, 0
    for first in range(0, len(by_length), batch):
        given = together(by_length[first : first + batch])
        found = errors(model(given).logits, given.labels)
        wrong, counted = wrong + found[0], counted + found[1]
    return wrong / max(counted, 1)
