"""Files for numpy: nothing is lost, numpy alone reads them, and what is no such file is refused."""

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorph.errors import FormatError
from neuromorph.recording import Recording
from tests.interchange.strategies import bare_recording, random_recording, recordings
from tests.test_recording import assert_equal


@settings(max_examples=40, deadline=None)
@given(recordings())
def test_files_give_back_what_they_got(recording: Recording):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        recording.to_npz(path)
        again = Recording.from_npz(path)
    assert_equal(again, recording)
    assert all(a.dtype == b.dtype for name, s in recording.states.items() for a, b in zip(s.values(), again.states[name].values()))
    assert all(trace.flags.writeable for trace in again.readouts.values())


def test_numpy_alone_reads_a_file(tmp_path: Path):
    recording = random_recording(1, precision="integer")
    recording.to_npz(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as file:
        assert str(file["backend"]) == "reference"
        assert file["dt"] == recording.dt
        shape = [int(file[name]) for name in ("n_steps", "n_samples", "spikes/hidden/n_neurons")]
        dense = np.zeros(shape, dtype=bool)
        dense[file["spikes/hidden/step"], file["spikes/hidden/sample"], file["spikes/hidden/neuron"]] = True
        np.testing.assert_array_equal(dense, recording.spikes["hidden"].to_dense())
        np.testing.assert_array_equal(file["readouts/out"], recording.readouts["out"])
        np.testing.assert_array_equal(file["states/hidden->one/H"], recording.states["hidden->one"]["H"])
        assert file["saturations/hidden.v"] == 3


def test_equal_recordings_give_equal_bytes(tmp_path: Path):
    for name in ("a", "b"):
        random_recording(1).to_npz(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def rewritten(path: Path, **changes: object) -> None:
    """A file with some entries replaced, None: left out."""
    with np.load(path) as file:
        entries = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})


BROKEN = [
    ({"version": 2}, "version 2; wanted"),
    ({"format": "x"}, "format 'x'"),
    ({"format": None}, "format None"),
    ({"backend": None}, "/: backend is nothing, wanted str"),
    ({"dt": 0.5}, "wanted (40, 3, 'n'), dt 0.5"),
    ({"n_steps": 39}, "/spikes/hidden: shape (40, 3, 4)"),
    ({"readouts/out": np.zeros((40, 3, 1), np.int64)}, "/readouts/out is int64"),
    ({"readouts/out": np.zeros((40, 3, 1), "S8")}, "allowed: numbers and strings"),
    ({"readouts/out": np.array([{}], dtype=object)}, "claims"),
    ({"more": 1}, "/: more is int, wanted nothing"),
    ({"spikes/hidden/step": np.zeros(3, np.int32)}, "/spikes/hidden/step"),
    ({"readouts/out/deep": np.zeros(3)}, "/readouts"),
    ({"readouts": np.zeros(3)}, "is there twice"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_files_that_hold_no_recording(tmp_path: Path, changes: dict[str, object], message: str):
    path = tmp_path / "r.npz"
    random_recording(1).to_npz(path)
    rewritten(path, **changes)
    with pytest.raises(FormatError) as error:
        Recording.from_npz(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_sizes_are_checked_before_anything_is_read(tmp_path: Path):
    path = tmp_path / "r.npz"
    random_recording(1).to_npz(path)
    with pytest.raises(FormatError, match="at most 1000"):
        Recording.from_npz(path, max_bytes=1000)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("readouts/huge.npy", header.getvalue())
    with pytest.raises(FormatError, match=r"readouts/huge\.npy claims 9007199254740992 bytes"):
        Recording.from_npz(path)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_are_refused_or_read_as_written(place: float, value: int, cut: bool):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.npz"
        recording = random_recording(1)
        recording.to_npz(path)
        data = bytearray(path.read_bytes())
        at = int(place * len(data))
        data[at] = value
        path.write_bytes(data[:at] if cut else data)
        try:
            again = Recording.from_npz(path)
        except FormatError:
            return
        assert_equal(again, recording)


def test_missing_files_stay_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Recording.from_npz(tmp_path / "none.npz")


def test_a_bare_recording_survives(tmp_path: Path):
    bare_recording().to_npz(tmp_path / "r.npz")
    assert_equal(Recording.from_npz(tmp_path / "r.npz"), bare_recording())
