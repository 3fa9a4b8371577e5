"""NIR's event data: what `nir.read_data` gives back, and nir's own conversion to a grid, are the recording."""

import tempfile
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings

from neuromorph.interchange.parts import traces
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes
from tests.interchange.strategies import bare_recording, random_recording, recordings


def through_a_file(data: nir.NIRGraphData) -> nir.NIRGraphData:
    with tempfile.TemporaryDirectory() as folder:
        nir.write_data(Path(folder) / "r.nir", data)
        return nir.read_data(str(Path(folder) / "r.nir"))


@settings(max_examples=25, deadline=None)
@given(recordings())
def test_nir_reads_every_spike_and_every_value(recording: Recording):
    nodes = through_a_file(recording.to_nir()).nodes
    assert set(nodes) == {*recording.spikes, *recording.readouts, *recording.states}
    for name, spikes in recording.spikes.items():
        events = nodes[name].observables["spikes"]
        assert (events.n_samples, events.n_neurons) == (spikes.n_samples, spikes.n_neurons)
        there = events.idx >= 0
        assert there.sum() == len(spikes)
        np.testing.assert_array_equal(events.time == np.inf, ~there)
        np.testing.assert_array_max_ulp(events.time[there], spikes.step * spikes.dt, 1)
        assert all((np.diff(times[times < np.inf]) >= 0).all() for times in events.time)
        gridded = events.to_time_gridded(recording.dt)
        np.testing.assert_array_equal(gridded.data, spikes.to_dense().swapaxes(0, 1))
    for place, variable, values in traces(recording):
        grid = nodes[place].observables[variable]
        assert grid.dt == recording.dt
        assert grid.data.dtype == values.dtype
        np.testing.assert_array_equal(grid.data, values.swapaxes(0, 1))


@pytest.mark.parametrize("dt", [1e-3, 5e-4, 0.7e-3, 3e-3, 0.1])
def test_every_step_of_a_long_run_stays_in_its_step(dt: float):
    n_steps = 5000
    steps = np.arange(n_steps)
    spikes = Spikes.from_events(0 * steps, steps, 0 * steps, n_samples=1, n_steps=n_steps, n_neurons=1, dt=dt)
    gridded = spikes.to_nir().to_time_gridded(dt)
    assert gridded.shape == (1, n_steps, 1)
    assert gridded.data.all()


def test_by_hand():
    spikes = Spikes.from_events([0, 0, 2], [1, 1, 3], [0, 2, 1], n_samples=3, n_steps=4, n_neurons=3, dt=0.5)
    events = spikes.to_nir()
    assert events.idx.tolist() == [[0, 2], [-1, -1], [1, -1]]
    assert events.time.tolist() == [[0.5, 0.5], [np.inf, np.inf], [1.5, np.inf]]
    assert (events.n_neurons, events.t_max) == (3, 2.0)


def test_a_bare_recording_has_no_nodes():
    assert through_a_file(bare_recording().to_nir()).nodes == {}


def test_observables_fit_a_graph_of_nir():
    recording = random_recording(1)
    data = nir.NIRGraphData({name: node for name, node in recording.to_nir().nodes.items() if name == "hidden"})
    one = np.ones(4)
    nodes = {
        "in": nir.Input({"input": np.array([4])}),
        "hidden": nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one),
        "out": nir.Output({"output": np.array([4])}),
    }
    data.check_nodes(nir.NIRGraph(nodes, [("in", "hidden"), ("hidden", "out")]))
