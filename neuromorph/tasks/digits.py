"""Sequential handwritten digits: pixels one after the other as threshold crossings, then a cue (Bellec et al. 2018, LSNN)."""

from dataclasses import asdict, dataclass

import numpy as np

from neuromorph.dataset import Dataset, LabelledSpikes
from neuromorph.errors import GraphError
from neuromorph.shapes import Float64, Int64
from neuromorph.spikes import Spikes

N_PIXELS = 64
FULL = 16  # value of a black pixel
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class Encoding:
    """How an image becomes spikes.

    Thresholds lie at (k + 1/2) / n_thresholds of full black. Channel k fires where the pixel sequence rises through
    threshold k (previous < threshold <= pixel), channel n_thresholds + k where it falls through it, both in the first
    step of the pixel that completes the crossing; the pixel before the first counts as white. Each pixel lasts
    `steps_per_pixel` steps; the last channel, the cue, fires in each of the `cue_steps` steps after the last pixel.

    The LSNN paper has 40 thresholds from 0 to 1 inclusive (that of 0 can never be crossed) and its code writes a
    crossing one step before it happens.
    """

    n_thresholds: int = 8
    steps_per_pixel: int = 1
    cue_steps: int = 5
    dt: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.n_thresholds, self.steps_per_pixel, self.cue_steps) < 1 or not self.dt > 0:
            raise GraphError(f"{self}: every number must be positive.")

    @property
    def n_channels(self) -> int:
        return 2 * self.n_thresholds + 1

    @property
    def n_steps(self) -> int:
        return N_PIXELS * self.steps_per_pixel + self.cue_steps

    @property
    def thresholds(self) -> Float64[np.ndarray, " thresholds"]:
        return (np.arange(self.n_thresholds) + 0.5) / self.n_thresholds


def encode(images: Float64[np.ndarray, "samples 64"], encoding: Encoding = Encoding()) -> Spikes:
    """Spikes of images with pixel values from 0 (white) to 1 (black), in the order of the pixels.

    Raises:
        GraphError: a pixel outside 0..1.
    """
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise GraphError(f"encode: pixels reach {images.min()}..{images.max()}; allowed 0..1.")
    above = np.concatenate([np.zeros((len(images), 1)), images], axis=1)[:, :, None] >= encoding.thresholds
    changes = np.concatenate([~above[:, :-1] & above[:, 1:], above[:, :-1] & ~above[:, 1:]], axis=2)
    dense = np.zeros((encoding.n_steps, len(images), encoding.n_channels), dtype=np.bool_)
    end = N_PIXELS * encoding.steps_per_pixel
    dense[: end : encoding.steps_per_pixel, :, :-1] = changes.transpose(1, 0, 2)
    dense[end:, :, -1] = True
    return Spikes.from_dense(dense, encoding.dt)


def load(encoding: Encoding = Encoding(), *, seed: int = 0) -> Dataset:
    """The 1797 digits of `sklearn.datasets.load_digits` (UCI Optical Recognition of Handwritten Digits, 8x8, 0..16).

    Each class is shuffled by `seed` and cut into 20 % test, 10 % validation and 70 % training images, so that the parts
    are disjoint and equal for everyone (359, 179 and 1259 images). All images are distinct. The parts share writers,
    because the data set does not name them.
    """
    from sklearn.datasets import load_digits

    pixels, target = (np.asarray(values) for values in load_digits(return_X_y=True))
    images, labels = pixels / FULL, target.astype(np.int64)
    rows = split(labels, np.random.default_rng(seed))
    parts = {name: LabelledSpikes(encode(images[chosen], encoding), labels[chosen]) for name, chosen in rows.items()}
    return Dataset("digits", 10, **parts, about={**asdict(encoding), "split_seed": seed})


def split(labels: Int64[np.ndarray, " samples"], generator: np.random.Generator) -> dict[str, Int64[np.ndarray, "_"]]:
    """Indices of the parts "test", "validation" and "train": disjoint, stratified, each in shuffled order."""
    parts: dict[str, list[np.ndarray]] = {"test": [], "validation": [], "train": []}
    for label in np.unique(labels):
        chosen = generator.permutation(np.flatnonzero(labels == label))
        cuts = np.cumsum([round(TEST_SHARE * len(chosen)), round(VALIDATION_SHARE * len(chosen))])
        for name, indices in zip(parts, np.split(chosen, cuts)):
            parts[name].append(indices)
    return {name: generator.permutation(np.concatenate(indices)) for name, indices in parts.items()}
