"""Event data of the Neuromorphic Intermediate Representation, NIR 1.0 (Pedersen et al. 2024): what nodes emit, sample by sample."""

import numpy as np

from neuromorph.interchange.parts import missing, traces
from neuromorph.recording import Recording
from neuromorph.shapes import Float64, Int64
from neuromorph.spikes import Spikes

try:
    import nir
except ImportError as error:
    raise missing("nir", error) from error


def graph_data(recording: Recording) -> nir.NIRGraphData:
    """A node for each population, with the observable "spikes" (EventData) and those of its traces (TimeGriddedData): "y" of readouts, "v",
    "a" of neurons, [n_samples, n_steps, n]. "H" and "E" lie at the node of their projection.

    `nir.write_data(path, ...)` makes a file of it. Backend, precision and digest have no place in NIR's event data.
    """
    found: dict[str, dict[str, nir.EventData | nir.TimeGriddedData]] = {}
    for name, spikes in recording.spikes.items():
        found.setdefault(name, {})["spikes"] = events(spikes)
    for trace in traces(recording):
        values = np.ascontiguousarray(trace.values.swapaxes(0, 1))
        found.setdefault(trace.place, {})[trace.variable] = nir.TimeGriddedData(values, float(recording.dt))
    return nir.NIRGraphData({name: nir.NIRNodeData(observables) for name, observables in found.items()})


def events(spikes: Spikes) -> nir.EventData:
    """`idx` (neuron) and `time` (step * dt) [s], each [n_samples, events of the fullest sample], ordered by time; -1 and inf where a sample
    has fewer.

    Times are one unit in the last place later where nir's `to_time_gridded` would round them into the step before.
    """
    of_sample = np.bincount(spikes.sample, minlength=spikes.n_samples)
    shape = spikes.n_samples, int(of_sample.max(initial=0))
    place = np.arange(len(spikes)) - (np.cumsum(of_sample) - of_sample)[spikes.sample]
    idx, time = np.full(shape, -1, np.int64), np.full(shape, np.inf)
    idx[spikes.sample, place] = spikes.neuron
    time[spikes.sample, place] = _reached(spikes.step.astype(np.int64), float(spikes.dt))
    return nir.EventData(idx, time, spikes.n_neurons, float(_reached(np.array([spikes.n_steps]), float(spikes.dt))[0]))


def _reached(steps: Int64[np.ndarray, " n"], dt: float) -> Float64[np.ndarray, " n"]:
    """The least times, from step * dt on, that divided by dt give the step."""
    times = steps * dt
    return np.where(times / dt < steps, np.nextafter(times, np.inf), times)
