"""The form of a file follows its name; what stands in its place is replaced whole or not at all."""

from pathlib import Path

import nir
import numpy as np
import pytest

from neuromorph.interchange.files import save_as
from neuromorph.recording import Recording, load_recording
from tests.interchange.strategies import random_recording
from tests.test_recording import assert_equal


def test_forms_by_name(tmp_path: Path):
    recording = random_recording(1)
    for name, read in (("r.h5", load_recording), ("r", load_recording), ("r.npz", Recording.from_npz)):
        save_as(tmp_path / name, recording)
        assert_equal(read(tmp_path / name), recording)
    save_as(tmp_path / "r.nir", recording)
    grid = nir.read_data(str(tmp_path / "r.nir")).nodes["out"].observables["y"]
    np.testing.assert_array_equal(grid.data, recording.readouts["out"].swapaxes(0, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "r.h5", "r.nir", "r.npz"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_as(tmp_path / "r.nir", random_recording(1))
    before = (tmp_path / "r.nir").read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(nir, "write_data", fail)
    with pytest.raises(OSError, match="disk full"):
        save_as(tmp_path / "r.nir", random_recording(2))
    assert (tmp_path / "r.nir").read_bytes() == before
