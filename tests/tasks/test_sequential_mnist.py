"""Sequential MNIST: the encoding against a loop over pixels, channels and steps, its invariants, and the parts of the data."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.data.mnist import Images
from neuromorph.errors import GraphError
from neuromorph.tasks.sequential_mnist import Encoding, GreyImages, SpikeImages, encode, load, load_images, split
from tests.data.files import need_mnist

encodings = st.builds(Encoding, n_thresholds=st.integers(2, 41), steps_per_pixel=st.integers(1, 3))
seeds = st.integers(0, 2**31)


def draw(seed: int, n: int = 3, n_pixels: int = 30) -> Images:
    """Random images with plateaus, white and full pixels, and values at exact thresholds (85 and 170 are 1/3 and 2/3)."""
    rng = np.random.default_rng(seed)
    pixels = rng.choice([0, 0, 85, 170, 255, 255, *rng.integers(0, 256, 6)], (n, n_pixels)).astype(np.uint8)
    return Images(pixels.repeat(2, axis=1)[:, :n_pixels], rng.integers(0, 10, n))


def brute_force(image: np.ndarray, e: Encoding) -> set[tuple[int, int]]:
    """(step, channel) of every spike, one pixel and threshold at a time, in exact fractions."""
    m, spp, found, before = e.n_thresholds - 1, e.steps_per_pixel, set(), Fraction(0)
    for place, value in enumerate(image.tolist()):
        pixel = Fraction(value, 255)
        for k in range(m):
            if before < Fraction(k, m) <= pixel:
                found.add((place * spp, k))
            if pixel < Fraction(k, m) <= before:
                found.add((place * spp, m + k))
        if pixel == 1:
            found |= {(place * spp + i, 2 * m) for i in range(spp)}
        before = pixel
    end = len(image) * spp
    return found | {(step, 2 * m + 1) for step in range(end, end + 56 * spp)}


@settings(max_examples=40, deadline=None)
@given(encodings, seeds)
def test_encoding_equals_the_loop(encoding, seed):
    samples = SpikeImages(draw(seed), encoding)
    dense = samples.dense([0, 1, 2])
    assert dense.shape == (samples.n_steps, 3, samples.n_neurons)
    for sample, image in enumerate(samples.images.pixels):
        assert set(zip(*(x.tolist() for x in np.nonzero(dense[:, sample])))) == brute_force(image, encoding)


@settings(max_examples=25, deadline=None)
@given(encodings, seeds)
def test_onset_and_offset_alternate(encoding, seed):
    """On each threshold, beginning with an onset; the threshold of 0 stays silent; touch lasts whole pixels."""
    images = draw(seed)
    m, dense = encoding.n_thresholds - 1, encode(images.pixels, encoding)
    onset, offset, touch, cue = dense[..., :m], dense[..., m : 2 * m], dense[..., 2 * m], dense[..., 2 * m + 1]
    balance = np.cumsum(onset.astype(int) - offset.astype(int), axis=0)
    assert not (onset & offset).any()
    assert ((balance == 0) | (balance == 1)).all()
    assert not onset[..., 0].any()
    assert not offset[..., 0].any()
    end = images.pixels.shape[1] * encoding.steps_per_pixel
    assert np.array_equal(touch[:end], (images.pixels.T == 255).repeat(encoding.steps_per_pixel, axis=0))
    assert not dense[:end, :, -1].any()
    assert not dense[end:, :, :-1].any()
    assert cue[end:].all()
    # the crossings tell each pixel's level: the running balance counts the thresholds above 0 that are reached
    levels = balance[: end : encoding.steps_per_pixel, :, 1:].sum(axis=2)
    assert np.array_equal(levels, np.minimum(images.pixels.T.astype(int) * m // 255, m - 1))


@settings(max_examples=25, deadline=None)
@given(encodings, seeds)
def test_more_steps_a_pixel_only_spread_the_crossings(encoding, seed):
    images = draw(seed)
    one = Encoding(encoding.n_thresholds, 1)
    end, spp = images.pixels.shape[1], encoding.steps_per_pixel
    slow, fast = encode(images.pixels, encoding)[: end * spp], encode(images.pixels, one)[:end]
    assert np.array_equal(slow[::spp], fast)
    kept = np.delete(slow.reshape(end, spp, *slow.shape[1:])[:, 1:], -2, axis=-1)
    assert not kept.any()


def test_one_image_by_hand():
    """Thresholds 0, 1/2, 1: channels onset 0 1, offset 2 3, touch 4, cue 5; half is 127.5, so 128 reaches it and 127 does not."""
    pixels = np.array([[127, 128, 255, 255, 0, 128]], dtype=np.uint8)
    dense = encode(pixels, Encoding(n_thresholds=3, steps_per_pixel=1))[:, 0]
    assert [np.flatnonzero(row).tolist() for row in dense[:7]] == [[], [1], [4], [4], [3], [1], [5]]
    assert dense.shape == (6 + 56, 6)


def test_the_papers_size():
    samples = SpikeImages(Images(np.zeros((1, 784), np.uint8), np.zeros(1, np.int64)))
    assert (samples.n_steps, samples.n_neurons, samples.dt, samples.encoding.cue_steps) == (840, 80, 1e-3, 56)
    assert SpikeImages(samples.images, Encoding(steps_per_pixel=2)).n_steps == 1680
    assert len(samples.spikes) == 56


@settings(max_examples=20, deadline=None)
@given(encodings, seeds, st.lists(st.integers(0, 4), max_size=7))
def test_dense_head_and_spikes_agree(encoding, seed, chosen):
    samples = SpikeImages(draw(seed, n=5), encoding)
    whole = samples.spikes
    assert (whole.n_samples, whole.dt) == (len(samples), encoding.dt)
    assert np.array_equal(samples.dense(chosen), whole.to_dense()[:, chosen])
    assert samples.head(2).spikes == whole.select([0, 1])
    assert samples.head(2).labels.tolist() == samples.labels[:2].tolist()
    assert len(samples.head(99)) == 5


def test_no_samples():
    empty = SpikeImages(draw(0)).head(0)
    assert empty.spikes.n_samples == 0
    assert empty.dense([]).shape == (empty.n_steps, 0, 80)


def test_spikes_of_more_samples_than_a_chunk():
    images = draw(1, n=300, n_pixels=6)
    samples = SpikeImages(images, Encoding(n_thresholds=3))
    assert np.array_equal(samples.spikes.to_dense(), encode(images.pixels, samples.encoding))


@pytest.mark.parametrize("spp", [1, 2])
def test_grey_values(spp):
    images = draw(2)
    grey = GreyImages(images, spp)
    values = grey.dense([2, 0, 2])
    assert values.dtype == np.float32
    assert values.shape == (grey.n_steps, 3, grey.n_neurons) == (30 * spp, 3, 1)
    for step in range(grey.n_steps):
        for column, sample in enumerate([2, 0, 2]):
            assert values[step, column, 0] == np.float32(images.pixels[sample, step // spp]) / np.float32(255)
    assert np.array_equal(grey.head(1).dense([0]), grey.dense([0]))
    assert len(grey) == len(grey.labels) == 3


@pytest.mark.parametrize("wrong", [{"n_thresholds": 1}, {"steps_per_pixel": 0}, {"dt": 0.0}])
def test_encoding_out_of_range(wrong):
    with pytest.raises(GraphError, match="needed"):
        Encoding(**wrong)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), seeds)
def test_split_is_stratified_and_covers_everything_once(labels, seed):
    values = np.asarray(labels, dtype=np.int64)
    train, validation = split(values, np.random.default_rng(seed))
    assert sorted([*train.tolist(), *validation.tolist()]) == list(range(len(labels)))
    assert len(validation) == -(-len(labels) // 12)
    for label in set(labels):
        assert abs((values[validation] == label).sum() - labels.count(label) / 12) < 1


def rows(images: Images) -> list[bytes]:
    """Each sample's pixels and label."""
    return [pixels.tobytes() + bytes([label]) for pixels, label in zip(images.pixels, images.labels.tolist())]


def test_parts_of_mnist():
    need_mnist()
    from neuromorph.data.mnist import load_mnist

    training, test = load_mnist()
    data = load(seed=3)
    parts = load_images(seed=3)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    assert np.array_equal(parts["test"].pixels, test.pixels)
    # training and validation images together are MNIST's training images, each once with its label
    both = [row for name in ("train", "validation") for row in rows(parts[name])]
    assert sorted(both) == sorted(rows(training))
    shares = np.bincount(parts["validation"].labels) - np.bincount(training.labels) / 12
    assert np.abs(shares).max() < 1
    assert not np.array_equal(load_images(seed=4)["validation"].labels, parts["validation"].labels)
    assert np.array_equal(parts["train"].labels, data.train.labels)
    assert data.about["split_seed"] == 3
    assert data.about["t10k-labels-idx1-ubyte"] == "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    image = data.test.dense([0])[:, 0]
    assert set(zip(*(x.tolist() for x in np.nonzero(image)))) == brute_force(test.pixels[0], Encoding())
