"""Neo's objects: a train a neuron with its times, a signal a trace with its values, linked as Neo wants them."""

from pathlib import Path

import neo
import numpy as np
from hypothesis import given, settings

from neuromorph.interchange.parts import traces
from neuromorph.recording import Recording
from tests.interchange.strategies import bare_recording, random_recording, recordings


@settings(max_examples=25, deadline=None)
@given(recordings())
def test_a_block_holds_every_spike_and_every_value(recording: Recording):
    block = recording.to_neo()
    assert len(block.segments) == recording.n_samples
    neurons = sum(spikes.n_neurons for spikes in recording.spikes.values())
    for sample, segment in enumerate(block.segments):
        assert segment.block is block
        assert segment.index == sample
        assert len(segment.spiketrains) == neurons
        trains = {(t.annotations["population"], t.annotations["neuron"]): t for t in segment.spiketrains}
        for name, spikes in recording.spikes.items():
            for neuron in range(spikes.n_neurons):
                train = trains[name, neuron]
                steps = spikes.step[(spikes.sample == sample) & (spikes.neuron == neuron)]
                assert train.times.rescale("s").magnitude.tolist() == [step * spikes.dt for step in steps.tolist()]
                assert float(train.t_start.rescale("s")) == 0
                assert float(train.t_stop.rescale("s")) == recording.n_steps * recording.dt
                assert train.segment is segment
        signals = {signal.name: signal for signal in segment.analogsignals}
        for place, variable, values in traces(recording):
            signal = signals[f"{place}.{variable}"]
            assert signal.dtype == values.dtype
            np.testing.assert_array_equal(signal.magnitude, values[:, sample])
            np.testing.assert_allclose(float(signal.sampling_period.rescale("s")), recording.dt, rtol=1e-15)
            kind = "synapse" if variable in "HE" else "neuron"
            assert signal.array_annotations[kind].tolist() == list(range(values.shape[2]))
            assert (signal.annotations["population"], signal.annotations["variable"]) == (place, variable)
        assert len(signals) == len(list(traces(recording)))
    assert block.annotations["dt"] == recording.dt
    assert block.annotations["precision"] == recording.precision


def test_trains_of_a_population_over_all_samples():
    recording = random_recording(1)
    trains = recording.to_neo().filter({"population": "hidden"}, objects="SpikeTrain")
    assert len(trains) == 3 * 4
    assert sum(len(train) for train in trains) == len(recording.spikes["hidden"])


def test_neo_writes_and_reads_the_block(tmp_path: Path):
    recording = random_recording(4, precision="integer")
    block = recording.to_neo()
    block.check_relationships()
    neo.io.PickleIO(str(tmp_path / "block.pkl")).write_block(block)
    again = neo.io.PickleIO(str(tmp_path / "block.pkl")).read_block()
    one, other = (b.filter([{"population": "hidden"}, {"neuron": 2}], objects="SpikeTrain") for b in (block, again))
    assert len(one) == 3
    assert [t.magnitude.tolist() for t in one] == [t.magnitude.tolist() for t in other]


def test_a_bare_recording_has_empty_segments():
    block = bare_recording().to_neo()
    assert [len(segment.spiketrains) + len(segment.analogsignals) for segment in block.segments] == [0, 0]


def test_spikes_alone_are_a_block():
    spikes = random_recording(2).spikes["hidden"]
    block = spikes.to_neo("hidden")
    assert [[len(train) for train in segment.spiketrains] for segment in block.segments] == spikes.counts().tolist()
    assert {train.annotations["population"] for train in block.segments[0].spiketrains} == {"hidden"}
