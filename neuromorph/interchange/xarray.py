"""Labelled arrays for xarray: spikes and traces of a recording in one Dataset."""

import math
from typing import TypeAlias

import numpy as np

from neuromorph.interchange.parts import facts, missing, seconds, traces
from neuromorph.recording import Recording
from neuromorph.spikes import Spikes

try:
    import xarray as xr
except ImportError as error:
    raise missing("xarray", error) from error

DENSE = 2**28  # bytes of all spikes as booleans, up to which they are kept so
NAMES = {"y": "readout", "v": "membrane potential", "a": "adaptation", "H": "plastic part of the weight", "E": "eligibility"}

Variable: TypeAlias = tuple[tuple[str, ...], np.ndarray, dict[str, str]]


def dataset(recording: Recording, *, dense: bool | None = None) -> xr.Dataset:
    """Variables "<population>_spikes", "<population>_y" of readouts, "<population>_v", ... of states.

    Dimensions: time (coordinate in seconds), sample, "<population>_neuron"; "<projection>_synapse" for "H" and "E" of plastic
    projections. Attributes: those of `parts.facts`, and `spikes`, "dense" or "events".

    `dense`: spikes as bool [time, sample, neuron]; False: as events "<population>_spike_sample", "spike_step", "spike_time" [s] and
    "spike_neuron" along the dimension "<population>_spike". By default dense if that takes at most 256 MiB for all populations together.
    """
    cells = sum(math.prod(spikes.shape) for spikes in recording.spikes.values())
    form = "dense" if (cells <= DENSE if dense is None else dense) else "events"
    variables: dict[str, Variable] = {}
    coordinates: dict[str, Variable] = _axes(recording.n_steps, recording.n_samples, recording.dt)
    for name, spikes in recording.spikes.items():
        if form == "dense":
            variables[f"{name}_spikes"] = ("time", "sample", f"{name}_neuron"), spikes.to_dense(), {"long_name": "spikes"}
        else:
            variables |= _events(name, spikes)
        coordinates |= _numbers(f"{name}_neuron", spikes.n_neurons)
    for trace in traces(recording):
        members = f"{trace.place}_{trace.kind}"
        about = {"units": "1", "long_name": NAMES.get(trace.variable, trace.variable)}
        variables[f"{trace.place}_{trace.variable}"] = ("time", "sample", members), trace.values, about
        coordinates |= _numbers(members, trace.values.shape[2])
    return xr.Dataset(variables, coordinates, {**facts(recording), "spikes": form})


def array(spikes: Spikes) -> xr.DataArray:
    """bool [time, sample, neuron], time in seconds; attribute dt [s]."""
    coordinates = {**_axes(spikes.n_steps, spikes.n_samples, spikes.dt), **_numbers("neuron", spikes.n_neurons)}
    about = {"dt": float(spikes.dt), "long_name": "spikes"}
    return xr.DataArray(spikes.to_dense(), coordinates, ("time", "sample", "neuron"), "spikes", about)


def _axes(n_steps: int, n_samples: int, dt: float) -> dict[str, Variable]:
    return {"time": (("time",), seconds(np.arange(n_steps), dt), {"units": "s"}), **_numbers("sample", n_samples)}


def _numbers(dimension: str, n: int) -> dict[str, Variable]:
    return {dimension: ((dimension,), np.arange(n), {})}


def _events(name: str, spikes: Spikes) -> dict[str, Variable]:
    columns = {"sample": spikes.sample, "step": spikes.step, "neuron": spikes.neuron, "time": seconds(spikes.step, spikes.dt)}
    units = {"time": {"units": "s"}}
    return {f"{name}_spike_{x}": ((f"{name}_spike",), values, units.get(x, {})) for x, values in columns.items()}
