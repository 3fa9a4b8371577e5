"""Tables for pandas: one row a spike, one row a step of the traces."""

from typing import NamedTuple

import numpy as np

from neuromorph.interchange.parts import facts, missing, seconds, traces
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

try:
    import pandas as pd
except ImportError as error:
    raise missing("pandas", error) from error


class Tables(NamedTuple):
    """Two data frames: `spikes, traces = recording.to_pandas()`.

    `spikes`: a row a spike: sample, population (categorical: all populations, silent ones too), neuron, step, time [s]; ordered by
    population as in the recording, then sample, step, neuron.

    `traces`: index (sample, time [s]), columns (population, variable, neuron), "y" being a readout; of a plastic projection (projection,
    "H" or "E", synapse). int64 in integer runs, else float64. All times are step * dt, so that they can be joined exactly.

    `attrs` of both: backend, precision, graph_digest, dt [s], n_samples, n_steps, saturations.
    """

    spikes: pd.DataFrame
    traces: pd.DataFrame


def tables(recording: Recording) -> Tables:
    """The spikes and the traces of a recording."""
    found = Tables(_spikes(recording), _traces(recording))
    for table in found:
        table.attrs.update(facts(recording))
    return found


def table(spikes: Spikes) -> pd.DataFrame:
    """A row a spike: sample, neuron, step, time [s]; ordered by sample, step, neuron."""
    columns = {"sample": spikes.sample, "neuron": spikes.neuron, "step": spikes.step, "time": seconds(spikes.step, spikes.dt)}
    return pd.DataFrame(columns)


def _spikes(recording: Recording) -> pd.DataFrame:
    by_name = recording.spikes
    codes = np.repeat(np.arange(len(by_name)), [len(spikes) for spikes in by_name.values()])
    nothing = Spikes.from_events([], [], [], n_samples=0, n_steps=0, n_neurons=1, dt=recording.dt)
    every = pd.concat([table(spikes) for spikes in by_name.values() or [nothing]], ignore_index=True)
    every.insert(1, "population", pd.Categorical.from_codes(codes, categories=list(by_name)))
    return every


def _traces(recording: Recording) -> pd.DataFrame:
    found = list(traces(recording))
    names = [(trace.place, trace.variable, index) for trace in found for index in range(trace.values.shape[2])]
    times = seconds(np.arange(recording.n_steps), recording.dt)
    index = pd.MultiIndex.from_product([range(recording.n_samples), times], names=["sample", "time"])
    empty = np.zeros((recording.n_steps, recording.n_samples, 0), np.int64 if recording.precision == "integer" else np.float64)
    values = np.concatenate([trace.values for trace in found] or [empty], axis=2).swapaxes(0, 1).reshape(len(index), len(names))
    levels = list(zip(*names)) or [(), (), ()]
    return pd.DataFrame(values, index, pd.MultiIndex.from_arrays(levels, names=["population", "variable", "neuron"]))
