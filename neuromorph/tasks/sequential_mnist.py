"""Sequential MNIST: pixels one after the other, as threshold crossings or as grey values (Bellec et al. 2018, LSNN)."""

import os
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from neuromorph.data.mnist import N_CLASSES, Images, load_mnist
from neuromorph.data.resources import MNIST
from neuromorph.dataset import Dataset
from neuromorph.errors import GraphError
from neuromorph.graph.populations import Values
from neuromorph.shapes import Bool, Float32, Int64, UInt8
from neuromorph.spikes import Spikes, join_spikes

WHITE, FULL = 0, 255
CUE_PIXELS = 56
VALIDATION_ONE_IN = 12
CHUNK = 64
ABOUT = {"crossings": "threshold crossings", "grey": "grey values"}


@dataclass(frozen=True)
class Encoding:
    """How an image becomes input: as threshold crossings, which are spikes, or as `kind` "grey", which is analog (see `GreyImages`).

    Crossings: each pixel lasts `steps_per_pixel` steps, then a cue fires for 56 pixels' time. Thresholds lie at
    k / (n_thresholds - 1), k = 0 .. n_thresholds - 1, of full grey, compared in exact integers.
    Channels, with m = n_thresholds - 1:

        0 .. m - 1     onset k: the pixel sequence rises through threshold k (previous < threshold <= pixel)
        m .. 2m - 1    offset k: it falls through threshold k (pixel < threshold <= previous)
        2m             touch: the pixel has full value, in each of its steps
        2m + 1         cue, in each step after the last pixel

    Defaults are those of the LSNN paper's code: 80 channels, 840 steps of 1 ms (1680 with 2 steps a pixel).
    Kept from it: the threshold of 0 can never be crossed, so channels 0 and m are silent; full value has a touch channel
    in place of onset and offset; the cue lasts two image rows. Changed: a crossing is written in the first step of the
    pixel that completes it, where their code writes it one step ahead; the pixel before the first counts as white, where
    theirs has none (so a bright first pixel is seen); channels are in blocks, where theirs alternate onset and offset.
    """

    n_thresholds: int = 40
    steps_per_pixel: int = 1
    dt: float = 1e-3
    kind: Literal["crossings", "grey"] = "crossings"

    def __post_init__(self) -> None:
        if self.n_thresholds < 2 or self.steps_per_pixel < 1 or not self.dt > 0:
            raise GraphError(f"{self}: at least 2 thresholds, 1 step a pixel and a positive dt are needed.")

    @property
    def n_channels(self) -> int:
        return 2 * self.n_thresholds

    @property
    def cue_steps(self) -> int:
        return CUE_PIXELS * self.steps_per_pixel

    @property
    def levels(self) -> Int64[np.ndarray, "256"]:
        """Thresholds at or below each grey value [256], from 1 (white) to n_thresholds (full)."""
        return np.arange(FULL + 1) * (self.n_thresholds - 1) // FULL + 1

    def patterns(self) -> Bool[np.ndarray, "codes channels"]:
        """Spikes of one step. Row before * (n_thresholds + 1) + now: the two pixels' levels; last row: the cue."""
        reached = np.arange(self.n_thresholds + 1)[:, None] > np.arange(self.n_thresholds - 1)
        onset = ~reached[:, None] & reached
        touch = np.broadcast_to(np.arange(self.n_thresholds + 1) == self.n_thresholds, onset.shape[:2])[..., None]
        crossings = np.concatenate([onset, onset.transpose(1, 0, 2), touch, np.zeros_like(touch)], axis=2)
        cue = np.arange(self.n_channels) == self.n_channels - 1
        return np.concatenate([crossings.reshape(-1, self.n_channels), cue[None]])


def encode(pixels: UInt8[np.ndarray, "samples pixels"], encoding: Encoding = Encoding()) -> Bool[np.ndarray, "steps samples channels"]:
    """Dense spikes [n_steps, samples, n_channels] of images [samples, pixels] of grey values 0 (white) to 255."""
    now = encoding.levels[pixels.T].repeat(encoding.steps_per_pixel, axis=0)
    before = np.concatenate([np.full_like(now[:1], encoding.levels[WHITE]), now[:-1]])
    patterns = encoding.patterns()
    cue = np.full((encoding.cue_steps, len(pixels)), len(patterns) - 1)
    return patterns.take(np.concatenate([before * (encoding.n_thresholds + 1) + now, cue]), axis=0)


@dataclass(frozen=True, eq=False)
class SpikeImages:
    """Images that become spikes when asked for: `neuromorph.dataset.Samples` in one byte a pixel."""

    images: Images
    encoding: Encoding = Encoding()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> Int64[np.ndarray, " samples"]:
        return self.images.labels

    @property
    def n_steps(self) -> int:
        return self.images.pixels.shape[1] * self.encoding.steps_per_pixel + self.encoding.cue_steps

    @property
    def n_neurons(self) -> int:
        return self.encoding.n_channels

    @property
    def dt(self) -> float:
        return self.encoding.dt

    @property
    def spikes(self) -> Spikes:
        """The events of all samples: about 2,000 an image of MNIST, 24 kB; take `head` first."""
        return join_spikes([self._events(first) for first in range(0, max(len(self), 1), CHUNK)])

    def dense(self, chosen: Values) -> Bool[np.ndarray, "steps batch neurons"]:
        """See `Samples.dense`."""
        return encode(self.images.select(chosen).pixels, self.encoding)

    def head(self, n: int) -> "SpikeImages":
        """The first n samples."""
        return SpikeImages(self.images.head(n), self.encoding)

    def _events(self, first: int) -> Spikes:
        dense = encode(self.images.pixels[first : first + CHUNK], self.encoding).transpose(1, 0, 2)
        sample, step, neuron = (column.astype(np.int32) for column in np.nonzero(np.ascontiguousarray(dense)))
        return Spikes(sample, step, neuron, n_samples=len(dense), n_steps=self.n_steps, n_neurons=self.n_neurons, dt=self.dt)


@dataclass(frozen=True, eq=False)
class GreyImages:
    """Images as one input channel that holds each pixel's grey value 0..1 for `steps_per_pixel` steps of `dt` [s], without a cue.

    The paper's other input (`crs_thr` off), decided in the last step. Networks are trained on it; simulators and chips take spikes.
    """

    images: Images
    steps_per_pixel: int = 1
    dt: float = 1e-3

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> Int64[np.ndarray, " samples"]:
        return self.images.labels

    @property
    def n_steps(self) -> int:
        return self.images.pixels.shape[1] * self.steps_per_pixel

    @property
    def n_neurons(self) -> int:
        return 1

    @property
    def spikes(self) -> Spikes:
        raise GraphError('Grey values are no spikes, which simulators and chips take; train with task.encoding.kind = "crossings".')

    def dense(self, chosen: Values) -> Float32[np.ndarray, "steps batch 1"]:
        """See `Samples.dense`."""
        grey = self.images.select(chosen).pixels.T.astype(np.float32) / np.float32(FULL)
        return grey.repeat(self.steps_per_pixel, axis=0)[..., None]

    def head(self, n: int) -> "GreyImages":
        """The first n samples."""
        return GreyImages(self.images.head(n), self.steps_per_pixel, self.dt)


def load(encoding: Encoding = Encoding(), *, seed: int = 0, root: str | os.PathLike[str] | None = None) -> Dataset:
    """MNIST as spikes or grey values, encoded sample by sample when asked for; parts as in `load_images`.

    Raises:
        DataError: MNIST is missing (`neuromorph data fetch mnist` gets it) or damaged.
    """
    parts = {name: encoded(images, encoding) for name, images in load_images(seed=seed, root=root).items()}
    sums = {file.name: f"sha256:{file.sha256}" for file in MNIST.files}
    unsaid = {"kind"} if encoding.kind == "crossings" else {"kind", "n_thresholds"}
    options = {name: value for name, value in asdict(encoding).items() if name not in unsaid}
    about = {"encoding": ABOUT[encoding.kind], **options, "split_seed": seed, **sums}
    return Dataset("sequential MNIST", N_CLASSES, **parts, about=about)


def encoded(images: Images, encoding: Encoding) -> SpikeImages | GreyImages:
    """Images that become what `encoding` says when asked for."""
    return SpikeImages(images, encoding) if encoding.kind == "crossings" else GreyImages(images, encoding.steps_per_pixel, encoding.dt)


def load_images(*, seed: int = 0, root: str | os.PathLike[str] | None = None) -> dict[str, Images]:
    """Parts "train" (55,000), "validation" (5,000) and "test" (10,000 images).

    The test part is MNIST's own, in its order (whose first half is the easier one). The validation part is drawn by `seed`
    from MNIST's training images, stratified by class; the LSNN code takes the first 5,000 instead.

    Raises:
        DataError: see `load_mnist`.
    """
    training, test = load_mnist(root)
    train, validation = split(training.labels, np.random.default_rng(seed))
    return {"train": training.select(train), "validation": training.select(validation), "test": test}


def split(labels: Int64[np.ndarray, " samples"], generator: np.random.Generator) -> tuple[Int64[np.ndarray, "_"], Int64[np.ndarray, "_"]]:
    """Rows for training and for validation (one in 12, of every class to within one), both in shuffled order."""
    shuffled = generator.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    held_out = np.zeros(len(labels), dtype=np.bool_)
    held_out[by_class[::VALIDATION_ONE_IN]] = True
    return shuffled[~held_out[shuffled]], shuffled[held_out[shuffled]]
