"""Datasets: dimensions, coordinates, values and attributes; dense spikes and events are the same spikes."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings

from neuromorph.interchange import xarray as form
from neuromorph.interchange.parts import traces
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.interchange.strategies import bare_recording, random_recording, recordings


@settings(max_examples=40, deadline=None)
@given(recordings())
def test_a_dataset_holds_every_spike_and_every_value(recording: Recording):
    found = recording.to_xarray()
    np.testing.assert_array_equal(found["time"], np.arange(recording.n_steps) * recording.dt)
    assert found["time"].attrs == {"units": "s"}
    assert found["sample"].to_numpy().tolist() == list(range(recording.n_samples))
    for name, spikes in recording.spikes.items():
        assert found[f"{name}_spikes"].dims == ("time", "sample", f"{name}_neuron")
        assert Spikes.from_dense(found[f"{name}_spikes"].to_numpy(), recording.dt) == spikes
    for place, variable, values in traces(recording):
        array = found[f"{place}_{variable}"]
        assert array.dims == ("time", "sample", f"{place}_{'synapse' if variable in 'HE' else 'neuron'}")
        assert array.dtype == values.dtype
        np.testing.assert_array_equal(array, values)
    wanted = {"backend": "reference", "precision": recording.precision, "graph_digest": "0" * 64, "dt": recording.dt, "spikes": "dense"}
    assert wanted.items() <= found.attrs.items()
    assert found.attrs.get("saturations.hidden.v") == recording.saturations.get("hidden.v")


@settings(max_examples=20, deadline=None)
@given(recordings())
def test_events_are_the_spikes(recording: Recording):
    found = recording.to_xarray(dense=False)
    assert found.attrs["spikes"] == "events"
    for name, spikes in recording.spikes.items():
        sample, step, neuron, time = (found[f"{name}_spike_{x}"].to_numpy() for x in ("sample", "step", "neuron", "time"))
        n_neurons = found.sizes[f"{name}_neuron"]
        shape = {"n_samples": found.sizes["sample"], "n_steps": found.sizes["time"], "n_neurons": n_neurons, "dt": found.attrs["dt"]}
        assert Spikes(sample, step, neuron, **shape) == spikes
        np.testing.assert_array_equal(time, step * spikes.dt)


def test_spikes_become_events_where_booleans_would_be_large(monkeypatch: pytest.MonkeyPatch):
    recording = random_recording(1)
    cells = 3 * 40 * (4 + 2 + 1)
    monkeypatch.setattr(form, "DENSE", cells)
    assert recording.to_xarray().attrs["spikes"] == "dense"
    monkeypatch.setattr(form, "DENSE", cells - 1)
    assert recording.to_xarray().attrs["spikes"] == "events"
    assert recording.to_xarray(dense=True).attrs["spikes"] == "dense"


@pytest.mark.parametrize("dense", [True, False])
def test_netcdf_files_give_back_the_dataset(tmp_path: Path, dense: bool):
    found = random_recording(3).to_xarray(dense=dense)
    found.to_netcdf(tmp_path / "r.nc", engine="scipy")
    again = xr.load_dataset(tmp_path / "r.nc", engine="scipy")
    xr.testing.assert_equal(found, again)
    assert again.attrs["graph_digest"] == "0" * 64


def test_a_bare_recording_has_no_variables():
    found = bare_recording().to_xarray()
    assert not found.data_vars
    assert dict(found.sizes) == {"time": 5, "sample": 2}


def test_spikes_alone_are_an_array():
    spikes = random_recording(2).spikes["hidden"]
    found = spikes.to_xarray()
    assert found.dims == ("time", "sample", "neuron")
    np.testing.assert_array_equal(found, spikes.to_dense())
    np.testing.assert_array_equal(found.sum("time"), spikes.counts())
    assert found.attrs["dt"] == spikes.dt
