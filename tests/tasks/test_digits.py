"""Sequential digits: the encoding against a loop over pixels and thresholds, and the parts of the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import GraphError
from neuromorph.tasks.digits import Encoding, encode, load, split

encodings = st.builds(Encoding, n_thresholds=st.integers(1, 9), steps_per_pixel=st.integers(1, 3), cue_steps=st.integers(1, 5))


def brute_force(image: np.ndarray, encoding: Encoding) -> set[tuple[int, int]]:
    """(step, channel) of every spike, one pixel and threshold at a time."""
    k, found, before = encoding.n_thresholds, set(), 0.0
    for place, pixel in enumerate(image):
        step = place * encoding.steps_per_pixel
        for j in range(k):
            threshold = (j + 0.5) / k
            if before < threshold <= pixel:
                found.add((step, j))
            if pixel < threshold <= before:
                found.add((step, k + j))
        before = pixel
    cue = range(64 * encoding.steps_per_pixel, 64 * encoding.steps_per_pixel + encoding.cue_steps)
    return found | {(step, 2 * k) for step in cue}


@settings(max_examples=40, deadline=None)
@given(encodings, st.integers(0, 2**31))
def test_encoding_equals_the_loop(encoding, seed):
    images = np.random.default_rng(seed).integers(0, 17, (3, 64)) / 16
    spikes = encode(images, encoding)
    assert spikes.shape == (64 * encoding.steps_per_pixel + encoding.cue_steps, 3, 2 * encoding.n_thresholds + 1)
    assert spikes.dt == encoding.dt
    for sample, image in enumerate(images):
        mine = spikes.sample == sample
        assert set(zip(spikes.step[mine].tolist(), spikes.neuron[mine].tolist())) == brute_force(image, encoding)


def test_one_image_by_hand():
    """Two thresholds, 1/4 and 3/4; pixels 0, 0.5, 1, 0.25, 0.2, then white."""
    image = np.zeros((1, 64))
    image[0, :5] = [0, 0.5, 1, 0.25, 0.2]
    spikes = encode(image, Encoding(n_thresholds=2, steps_per_pixel=2, cue_steps=1))
    assert list(zip(spikes.step.tolist(), spikes.neuron.tolist())) == [(2, 0), (4, 1), (6, 3), (8, 2), (128, 4)]


def test_pixels_out_of_range():
    with pytest.raises(GraphError, match="pixels reach"):
        encode(np.full((1, 64), 16.0))


@pytest.mark.parametrize("wrong", [{"n_thresholds": 0}, {"steps_per_pixel": 0}, {"cue_steps": 0}, {"dt": 0.0}])
def test_encoding_out_of_range(wrong):
    with pytest.raises(GraphError, match="positive"):
        Encoding(**wrong)


@given(st.lists(st.integers(0, 4), min_size=60, max_size=200), st.integers(0, 2**31))
def test_split_covers_everything_once(labels, seed):
    parts = split(np.asarray(labels), np.random.default_rng(seed))
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(labels)))


def test_parts_of_the_digits():
    from sklearn.datasets import load_digits

    data = load()
    parts = [data.train, data.validation, data.test]
    assert [len(part) for part in parts] == [1259, 179, 359]
    assert data.n_classes == 10
    for part in parts:
        shares = np.bincount(part.labels, minlength=10) / len(part)
        assert np.abs(shares - 0.1).max() < 0.01
    # every image (they are distinct) is in exactly one part, with its own label
    pixels, target = load_digits(return_X_y=True)
    whole = encode(pixels / 16)
    key = {trains(whole, i): int(target[i]) for i in range(len(target))}
    found = [(trains(part.spikes, i), int(part.labels[i])) for part in parts for i in range(len(part))]
    assert len(found) == len(target)
    assert len({spikes for spikes, _ in found}) == len(key)
    assert all(key[spikes] == label for spikes, label in found)


def trains(spikes, sample: int) -> bytes:
    mine = spikes.sample == sample
    return spikes.step[mine].tobytes() + spikes.neuron[mine].tobytes()


def test_split_is_fixed_by_its_seed():
    one, same, other = load(seed=0), load(seed=0), load(seed=1)
    assert one.test.spikes == same.test.spikes
    assert np.array_equal(one.test.labels, same.test.labels)
    assert not np.array_equal(one.test.labels, other.test.labels)
    assert one.about == {"n_thresholds": 8, "steps_per_pixel": 1, "cue_steps": 5, "dt": 1e-3, "split_seed": 0}
