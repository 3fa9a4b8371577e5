"""Recordings: files give back every number, joining and selecting, and what is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from neuromorph.backends.reference import ReferenceBackend
from neuromorph.errors import FormatError
from neuromorph.graph import container, save
from neuromorph.graph.container import Group
from neuromorph.recording import Recording, join, load_recording, save_recording
from neuromorph.spikes import load_spikes
from tests.graph.test_format_document import digest_by_the_book
from tests.strategies import random_graph, random_inputs


def recorded(precision: str = "float", n_samples: int = 3) -> Recording:
    rng = np.random.default_rng(2)
    graph = random_graph(rng, precision=precision)
    states = [p.name for p in graph.populations if p.name != "in"]
    return ReferenceBackend().run(graph, random_inputs(rng, graph, n_samples, 20), states=states)


def assert_equal(one: Recording, other: Recording) -> None:
    for field in ("backend", "precision", "graph_digest", "dt", "n_samples", "n_steps"):
        assert getattr(one, field) == getattr(other, field)
    assert dict(one.spikes) == dict(other.spikes)
    assert dict(one.saturations) == dict(other.saturations)
    assert set(one.readouts) == set(other.readouts)
    for name, trace in one.readouts.items():
        np.testing.assert_array_equal(trace, other.readouts[name])
        assert trace.dtype == other.readouts[name].dtype
    assert {n: set(s) for n, s in one.states.items()} == {n: set(s) for n, s in other.states.items()}
    for name, states in one.states.items():
        for x, trace in states.items():
            np.testing.assert_array_equal(trace, other.states[name][x])


@pytest.mark.parametrize("precision", ["float", "integer"])
def test_files_give_back_what_they_got(tmp_path: Path, precision: str):
    recording = recorded(precision)
    assert sum(len(s) for s in recording.spikes.values()) > 0
    save_recording(tmp_path / "r.h5", recording)
    assert_equal(load_recording(tmp_path / "r.h5"), recording)


def test_saturations_survive(tmp_path: Path):
    recording = Recording("b", "integer", "0" * 64, 1e-3, 1, 2, {}, {}, saturations={"hidden.u": 3, "x" * 128 + ".v": 2**40})
    save_recording(tmp_path / "r.h5", recording)
    assert_equal(load_recording(tmp_path / "r.h5"), recording)


def test_joining_what_was_selected():
    recording = recorded(n_samples=4)
    assert_equal(join([recording.select([0]), recording.select([1, 2, 3])]), recording)
    chosen = recording.select([2, 0])
    for name, trace in recording.readouts.items():
        np.testing.assert_array_equal(chosen.readouts[name], trace[:, [2, 0]])
    for name, spikes in recording.spikes.items():
        np.testing.assert_array_equal(chosen.spikes[name].to_dense(), spikes.to_dense()[:, [2, 0]])


def test_a_reader_that_knows_only_the_document(tmp_path: Path):
    recording = recorded()
    save_recording(tmp_path / "r.h5", recording)
    with h5py.File(tmp_path / "r.h5") as file:
        root = file["neuromorph"]
        assert root.attrs["format"] == b"neuromorph.recording"
        assert root.attrs["sha256"].decode() == digest_by_the_book(root)
        content = root["content"]
        assert content.attrs["graph_digest"].decode() == recording.graph_digest
        for name, spikes in recording.spikes.items():
            node, dense = content[f"spikes/{name}"], spikes.to_dense()
            assert dense[node["step"][...], node["sample"][...], node["neuron"][...]].all()
            assert len(node["step"]) == dense.sum()
        for name, trace in recording.readouts.items():
            np.testing.assert_array_equal(content[f"readouts/{name}"][...], trace)


OUT = np.zeros((20, 3, 1))
BROKEN = [
    (lambda t: t.attributes.pop("backend"), "/: backend is nothing, wanted str"),
    (lambda t: t.attributes.update(n_steps=1.5), "/: n_steps is float, wanted int"),
    (lambda t: t.attributes.update(n_steps=19), "/spikes/hidden0: shape (20, 3,"),
    (lambda t: t.attributes.update(dt=0.5), "wanted (20, 3, 'n'), dt 0.5"),
    (lambda t: t.groups.pop("states"), "/: states is nothing, wanted group"),
    (
        lambda t: t.groups["readouts"].arrays.update(out=OUT[:-1]),
        "/readouts/out is float64 of shape (19, 3, 1); wanted float64 of (20, 3, 'n')",
    ),
    (lambda t: t.groups["readouts"].arrays.update(out=OUT[:, :, 0]), "/readouts/out is float64 of shape (20, 3)"),
    (lambda t: t.groups["readouts"].arrays.update(out=OUT.astype(np.int64)), "/readouts/out is int64"),
    (lambda t: t.groups["states"].groups["out"].arrays.update(v=OUT[:, 1:]), "/states/out/v is float64 of shape (20, 2, 1)"),
    (lambda t: t.groups["readouts"].attributes.update(more=1), "/readouts: more is int, wanted nothing"),
    (lambda t: t.groups["states"].arrays.update(v=OUT), "/states: v is array, wanted nothing"),
    (lambda t: t.groups["saturations"].attributes.update({"out.v": "often"}), "/saturations: out.v is str, wanted int"),
    (lambda t: t.groups["spikes"].groups["hidden0"].arrays.pop("step"), "/spikes/hidden0: step is nothing, wanted array"),
]


@pytest.mark.parametrize(("harm", "message"), BROKEN)
def test_files_that_hold_no_recording(tmp_path: Path, harm, message: str):
    path = tmp_path / "r.h5"
    save_recording(path, recorded())
    tree: Group = container.read(path, "recording", 1)
    harm(tree)
    container.write(path, "recording", 1, tree)
    with pytest.raises(FormatError) as error:
        load_recording(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_files_of_another_kind(tmp_path: Path):
    save(tmp_path / "g.h5", random_graph(np.random.default_rng(0)))
    for load, kind in ((load_recording, "recording"), (load_spikes, "spikes")):
        with pytest.raises(FormatError, match=f"holds 'neuromorph.graph', wanted 'neuromorph.{kind}'; give a {kind} file"):
            load(tmp_path / "g.h5")
