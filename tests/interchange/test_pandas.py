"""Tables: every spike and every number at its place, in its type."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from neuromorph.interchange.parts import traces
from neuromorph.recording import Recording
from tests.interchange.strategies import bare_recording, random_recording, recordings


@settings(max_examples=40, deadline=None)
@given(recordings())
def test_tables_hold_every_spike_and_every_value(recording: Recording):
    spikes, found = recording.to_pandas()
    assert list(spikes.columns) == ["sample", "population", "neuron", "step", "time"]
    assert list(spikes["population"].cat.categories) == list(recording.spikes)
    for name, own in recording.spikes.items():
        rows = spikes[spikes["population"] == name]
        for column in ("sample", "neuron", "step"):
            assert rows[column].dtype == np.int32
            assert rows[column].tolist() == getattr(own, column).tolist()
        assert rows["time"].tolist() == [step * own.dt for step in own.step.tolist()]
    assert len(spikes) == sum(len(own) for own in recording.spikes.values())
    assert found.columns.names == ["population", "variable", "neuron"]
    assert len(found) == recording.n_samples * recording.n_steps
    assert found.shape[1] == sum(trace.values.shape[2] for trace in traces(recording))
    kind = np.int64 if recording.precision == "integer" else np.float64
    assert set(found.dtypes) <= {np.dtype(kind)}
    for place, variable, values in traces(recording):
        for neuron in range(values.shape[2]):
            column = found[place, variable, neuron].to_numpy().reshape(recording.n_samples, recording.n_steps)
            np.testing.assert_array_equal(column, values[:, :, neuron].T)
    for table in (spikes, found):
        assert table.attrs["graph_digest"] == recording.graph_digest
        assert table.attrs["dt"] == recording.dt


def test_a_trace_is_found_at_the_time_of_a_spike():
    recording = random_recording(1)
    spikes, found = recording.to_pandas()
    row = spikes[spikes["population"] == "hidden"].iloc[7]
    assert (
        found.loc[(row["sample"], row["time"]), ("hidden", "v", row["neuron"])]
        == (recording.states["hidden"]["v"][row["step"], row["sample"], row["neuron"]])
    )


def test_silent_populations_are_counted():
    spikes, _ = random_recording(1).to_pandas()
    assert spikes.groupby("population", observed=False).size()["silent"] == 0


def test_a_bare_recording_has_empty_tables():
    spikes, found = bare_recording().to_pandas()
    assert spikes.empty
    assert found.shape == (10, 0)


def test_the_table_of_spikes_alone():
    spikes = random_recording(2).spikes["hidden"]
    table = spikes.to_pandas()
    assert list(table.columns) == ["sample", "neuron", "step", "time"]
    counts = table.groupby(["sample", "neuron"]).size()
    assert all(counts.get(place, 0) == n for place, n in np.ndenumerate(spikes.counts()))
    assert isinstance(table, pd.DataFrame)


@pytest.mark.parametrize(("library", "method"), [("pandas", "to_pandas"), ("xarray", "to_xarray"), ("neo", "to_neo"), ("nir", "to_nir")])
def test_what_to_install_is_told_where_a_library_is_missing(library: str, method: str):
    code = f"""
import sys
sys.modules["{library}"] = None
from neuromorph import NeuromorphError, Recording
recording = Recording("b", "float", "0" * 64, 1e-3, 1, 2, {{}}, {{}})
for _ in range(2):
    try:
        recording.{method}()
    except NeuromorphError as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(told) == 2
    extra = "nir" if library == "nir" else "recordings"
    assert all(line.startswith(f"{library} cannot be imported") and line.endswith(f'pip install "neuromorph[{extra}]"') for line in told)
