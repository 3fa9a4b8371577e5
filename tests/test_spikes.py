"""Spike events: dense and back, selection, counts, files, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neuromorph.errors import FormatError, GraphError
from neuromorph.graph import container
from neuromorph.graph.container import Group
from neuromorph.spikes import Spikes, join_spikes, load_labels, load_spikes, save_spikes, to_tree

DENSE = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))
FILES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(DENSE)
def test_dense_to_events_and_back(dense: np.ndarray):
    spikes = Spikes.from_dense(dense, 1e-3)
    assert spikes.shape == dense.shape
    np.testing.assert_array_equal(spikes.to_dense(), dense)
    assert len(spikes) == dense.sum()
    np.testing.assert_array_equal(spikes.counts(), dense.sum(axis=0))
    assert spikes.rate() == pytest.approx(dense.mean() * 1000)
    assert Spikes.from_dense(dense.astype(np.float32), 1e-3) == spikes


@given(DENSE, st.randoms(use_true_random=False))
def test_events_may_come_in_any_order(dense: np.ndarray, random):
    spikes = Spikes.from_dense(dense, 1e-3)
    events = list(zip(spikes.sample, spikes.step, spikes.neuron))
    random.shuffle(events)
    columns = np.array(events, dtype=np.int64).reshape(-1, 3).T
    n_steps, n_samples, n_neurons = dense.shape
    assert Spikes.from_events(*columns, n_samples=n_samples, n_steps=n_steps, n_neurons=n_neurons, dt=1e-3) == spikes


@given(DENSE, st.data())
def test_selected_samples_in_the_order_given(dense: np.ndarray, data: st.DataObject):
    wanted = data.draw(st.lists(st.integers(0, dense.shape[1] - 1), unique=True))
    np.testing.assert_array_equal(Spikes.from_dense(dense, 1e-3).select(wanted).to_dense(), dense[:, wanted])


@given(DENSE, st.integers(0, 6))
def test_joining_what_was_split(dense: np.ndarray, cut: int):
    parts = [Spikes.from_dense(part, 1e-3) for part in np.split(dense, [min(cut, dense.shape[1])], axis=1)]
    assert join_spikes(parts) == Spikes.from_dense(dense, 1e-3)


@FILES
@given(dense=DENSE)
def test_files_give_back_what_they_got(dense: np.ndarray, tmp_path: Path):
    spikes = {"a": Spikes.from_dense(dense, 1e-3), "b->c": Spikes.from_dense(~dense, 5e-4)}
    save_spikes(tmp_path / "s.h5", spikes)
    assert load_spikes(tmp_path / "s.h5") == spikes
    assert load_labels(tmp_path / "s.h5") is None
    labels = np.arange(dense.shape[1]) % 3
    save_spikes(tmp_path / "s.h5", spikes, labels)
    np.testing.assert_array_equal(load_labels(tmp_path / "s.h5"), labels)


def three() -> Spikes:
    return Spikes.from_events([0, 0, 1], [2, 3, 0], [1, 0, 1], n_samples=2, n_steps=4, n_neurons=2, dt=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_samples": 1}, "sample reaches 0..1; allowed 0..0"),
        ({"n_steps": 3}, "step reaches 0..3; allowed 0..2"),
        ({"n_neurons": 1}, "neuron reaches 0..1; allowed 0..0"),
        ({"n_neurons": 0}, "must be positive"),
        ({"n_steps": -1}, "must be positive"),
        ({"dt": 0.0}, "dt 0.0 must be positive"),
        ({"dt": float("nan")}, "dt nan must be positive"),
        ({"step": np.array([-1, 3, 0], np.int32)}, "step reaches -1..3"),
        ({"step": np.array([3, 2, 0], np.int32)}, "must ascend"),
        ({"step": np.array([2, 2, 0], np.int32), "neuron": np.array([1, 1, 1], np.int32)}, "without repeats; use Spikes.from_events"),
    ],
)
def test_broken_spikes(changes: dict, message: str):
    with pytest.raises(GraphError) as error:
        dataclasses.replace(three(), **changes)
    assert message in str(error.value)


@pytest.mark.parametrize("bad", [2**32, 0.5, -(2**31) - 1])
def test_events_that_no_integer_of_32_bits_holds(bad: float):
    """A plain cast would have made 2**32 neuron 0."""
    with pytest.raises(GraphError, match="give 32-bit integers"):
        Spikes.from_events([0], [0], np.array([bad]), n_samples=1, n_steps=1, n_neurons=1, dt=1e-3)


def test_repeated_events_are_refused():
    with pytest.raises(GraphError, match="without repeats"):
        Spikes.from_events([0, 0], [1, 1], [0, 0], n_samples=1, n_steps=2, n_neurons=1, dt=1e-3)


@pytest.mark.parametrize("samples", [[0, 0], [2], [-1]])
def test_samples_that_cannot_be_selected(samples: list[int]):
    with pytest.raises(GraphError, match=r"Spikes\.select: samples .*; give some of 0\.\.1, each at most once"):
        three().select(samples)


def test_spikes_are_binary():
    with pytest.raises(GraphError, match="other than 0 and 1"):
        Spikes.from_dense(np.full((1, 1, 1), 2), 1e-3)


def test_nothing_at_all():
    empty = Spikes.from_events([], [], [], n_samples=0, n_steps=0, n_neurons=1, dt=1e-3)
    assert (len(empty), empty.rate(), empty.to_dense().shape) == (0, 0.0, (0, 0, 1))
    assert three() != empty
    assert three() != "spikes"


BROKEN = [
    (lambda t: t.arrays.pop("step"), "/pop: step is nothing, wanted array"),
    (lambda t: t.arrays.update(more=np.zeros(1)), "/pop: more is array, wanted nothing"),
    (lambda t: t.attributes.update(n_steps="4"), "/pop: n_steps is str, wanted int"),
    (lambda t: t.attributes.update(dt=1), "/pop: dt is int, wanted float"),
    (lambda t: t.attributes.update(n_steps=2), "/pop: Spikes: step reaches 0..3"),
    (lambda t: t.arrays.update(step=np.array([2.0, 3, 0])), "/pop/step is float64 of shape (3,); wanted int32, one an event"),
    (lambda t: t.arrays.update(step=np.array([2, 3], np.int32)), "/pop/step is int32 of shape (2,)"),
    (lambda t: t.arrays.update(sample=np.zeros((3, 1), np.int32)), "/pop/sample is int32 of shape (3, 1)"),
    (lambda t: t.groups.update(g=Group()), "/pop: g is group, wanted nothing"),
]


@pytest.mark.parametrize(("harm", "message"), BROKEN)
def test_files_that_hold_no_spikes(tmp_path: Path, harm, message: str):
    tree = to_tree(three())
    harm(tree)
    container.write(tmp_path / "s.h5", "spikes", 1, Group(groups={"pop": tree}))
    with pytest.raises(FormatError) as error:
        load_spikes(tmp_path / "s.h5")
    assert message in str(error.value)
    assert str(tmp_path / "s.h5") in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.arange(3)}, "/labels is int64 of shape (3,) for {2} samples; wanted int64, one a sample"),
        ({"labels": np.zeros(2)}, "/labels is float64"),
        ({"names": np.zeros(2)}, "/: names is array, wanted nothing"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, arrays: dict, message: str):
    container.write(tmp_path / "s.h5", "spikes", 1, Group(arrays=arrays, groups={"pop": to_tree(three())}))
    for load in (load_spikes, load_labels):
        with pytest.raises(FormatError) as error:
            load(tmp_path / "s.h5")
        assert message in str(error.value)
