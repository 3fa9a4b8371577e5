"""Neo's objects, which Elephant and others read: a Block with a Segment for each sample."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuromorph.interchange.parts import Trace, facts, missing, seconds, traces
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

try:
    import neo
    import quantities as pq
except ImportError as error:
    raise missing("neo", error) from error


def block(recording: Recording) -> neo.Block:
    """A Segment for each sample, with a SpikeTrain for each neuron, silent ones too, and an AnalogSignal for each readout and state.

    Trains: times in seconds (step * dt), from 0 to n_steps * dt, annotated with population and neuron. Signals: [n_steps, n],
    dimensionless, named "<population>.<variable>", annotated with population and variable, their channels with the neuron (the synapse
    for "H" and "E" of plastic projections); int64 in integer runs. Annotations of the block: those of `parts.facts`.

    A population's trains of all samples: `block.filter({"population": name}, objects="SpikeTrain")`. There are samples times neurons of
    them; where these are many, choose samples with `Recording.select` first.
    """
    found = _block(recording.n_samples, name=recording.backend, **facts(recording))
    for name, spikes in recording.spikes.items():
        _add_trains(found, name, spikes)
    for trace in traces(recording):
        _add_signals(found, trace, recording.dt)
    return found


def spike_block(spikes: Spikes, population: str) -> neo.Block:
    """As `block`, of the spikes of one population alone."""
    found = _block(spikes.n_samples, name=population, dt=float(spikes.dt), n_samples=spikes.n_samples, n_steps=spikes.n_steps)
    _add_trains(found, population, spikes)
    return found


def _block(samples: int, **about: str | int | float) -> neo.Block:
    found = neo.Block(**about)
    found.segments.extend([neo.Segment(name=f"sample {sample}", index=sample) for sample in range(samples)])
    return found


def _add_trains(found: neo.Block, name: str, spikes: Spikes) -> None:
    order = np.lexsort((spikes.step, spikes.neuron, spikes.sample))
    ends = np.cumsum(spikes.counts().reshape(-1))[:-1]
    times: Sequence[np.ndarray] = np.split(seconds(spikes.step[order], spikes.dt), ends)
    about = {"units": "s", "t_stop": spikes.n_steps * spikes.dt, "sampling_rate": 1 / spikes.dt * pq.Hz, "population": name}
    for sample, segment in enumerate(found.segments):
        own = times[sample * spikes.n_neurons : (sample + 1) * spikes.n_neurons]
        trains = [neo.SpikeTrain(at, name=f"{name}[{neuron}]", neuron=neuron, **about) for neuron, at in enumerate(own)]
        segment.spiketrains.extend(trains)


def _add_signals(found: neo.Block, trace: Trace, dt: float) -> None:
    about: dict[str, Any] = {"name": f"{trace.place}.{trace.variable}", "population": trace.place, "variable": trace.variable}
    about |= {"units": "dimensionless", "sampling_period": dt * pq.s}
    channels = {trace.kind: np.arange(trace.values.shape[2])}
    for sample, segment in enumerate(found.segments):
        signal = neo.AnalogSignal(np.ascontiguousarray(trace.values[:, sample]), array_annotations=channels, **about)
        segment.analogsignals.append(signal)
