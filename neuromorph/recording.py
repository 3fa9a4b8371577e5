"""What a run of a graph left behind: spikes, readout traces, state traces, saturations."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from neuromorph.errors import FormatError
from neuromorph.graph.container import MAX_BYTES, Group, expect, read, write
from neuromorph.spikes import Spikes, from_tree, join_spikes, to_tree

if TYPE_CHECKING:
    import neo  # pyright: ignore[reportMissingTypeStubs]
    import nir  # pyright: ignore[reportMissingTypeStubs]
    import xarray

    from neuromorph.interchange.pandas import Tables

VERSION = 1
HEADER: dict[str, type] = {"backend": str, "precision": str, "graph_digest": str, "dt": float, "n_samples": int, "n_steps": int}


@dataclass(frozen=True, eq=False)
class Recording:
    """The result of `Backend.run`.

    `spikes`: by population (LIF and ALIF, not inputs). `readouts`: y of each LI population,
    [n_steps, n_samples, n]. `states`: by population and variable ("v": membrane potential as compared with the
    threshold, before any reset; "a": adaptation), same shape. float64, or int64 in integer runs.
    `saturations`: how often a state variable was clipped or wrapped, by "population.variable"; empty when never.
    """

    backend: str
    precision: str
    graph_digest: str
    dt: float
    n_samples: int
    n_steps: int
    spikes: Mapping[str, Spikes]
    readouts: Mapping[str, np.ndarray]
    states: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict[str, Mapping[str, np.ndarray]])
    saturations: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_pandas(self) -> "Tables":
        """Two data frames, `spikes, traces = recording.to_pandas()`: a row a spike; a row a step of readouts and states. See
        `neuromorph.interchange.pandas.Tables`.

        Raises:
            NeuromorphError: pandas is not installed.
        """
        from neuromorph.interchange.pandas import tables

        return tables(self)

    def to_xarray(self, *, dense: bool | None = None) -> "xarray.Dataset":
        """A Dataset over time [s], sample and the neurons of each population. See `neuromorph.interchange.xarray.dataset`.

        `dense`: spikes as booleans (True) or as events (False); by default as booleans up to 256 MiB.

        Raises:
            NeuromorphError: xarray is not installed.
        """
        from neuromorph.interchange.xarray import dataset

        return dataset(self, dense=dense)

    def to_neo(self) -> "neo.Block":
        """Neo's Block, for Elephant and others: a Segment a sample, a SpikeTrain a neuron, an AnalogSignal a readout or state. See
        `neuromorph.interchange.neo.block`.

        Raises:
            NeuromorphError: neo is not installed.
        """
        from neuromorph.interchange.neo import block

        return block(self)

    def to_nir(self) -> "nir.NIRGraphData":
        """NIR's event data, for `nir.write_data`. See `neuromorph.interchange.nir.graph_data`.

        Raises:
            NeuromorphError: nir is not installed.
        """
        from neuromorph.interchange.nir import graph_data

        return graph_data(self)

    def to_npz(self, path: str | os.PathLike[str]) -> None:
        """Write a file for `numpy.load`, atomically and without loss. See `neuromorph.interchange.npz`."""
        from neuromorph.interchange.npz import save_npz

        save_npz(path, self)

    @classmethod
    def from_npz(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> "Recording":
        """Read what `to_npz` wrote. `max_bytes`: the most its arrays may take in memory.

        Raises:
            FormatError: see `neuromorph.interchange.npz.load_npz`.
        """
        from neuromorph.interchange.npz import load_npz

        return load_npz(path, max_bytes=max_bytes)

    def select(self, samples: Sequence[int]) -> "Recording":
        """The given samples, renumbered; saturations, which were counted over all, are kept as they are."""
        chosen = list(samples)
        return replace(
            self,
            n_samples=len(chosen),
            spikes={name: spikes.select(chosen) for name, spikes in self.spikes.items()},
            readouts={name: trace[:, chosen] for name, trace in self.readouts.items()},
            states={name: {x: trace[:, chosen] for x, trace in traces.items()} for name, traces in self.states.items()},
        )


def join(parts: Sequence[Recording]) -> Recording:
    """Recordings of one graph on consecutive batches of samples, as one recording."""
    first = parts[0]
    return replace(
        first,
        n_samples=sum(part.n_samples for part in parts),
        spikes={name: join_spikes([part.spikes[name] for part in parts]) for name in first.spikes},
        readouts={name: np.concatenate([part.readouts[name] for part in parts], axis=1) for name in first.readouts},
        states={
            name: {x: np.concatenate([part.states[name][x] for part in parts], axis=1) for x in traces}
            for name, traces in first.states.items()
        },
        saturations=added_up([part.saturations for part in parts]),
    )


def added_up(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Counts by name, summed over parts."""
    totals: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            totals[name] = totals.get(name, 0) + count
    return totals


def save_recording(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write a recording to HDF5, atomically."""
    write(path, "recording", VERSION, to_group(recording))


def load_recording(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Recording:
    """Read a recording. `max_bytes`: the most its arrays may take in memory.

    Raises:
        FormatError: see `neuromorph.graph.container.read` and `from_group`.
    """
    return from_group(read(path, "recording", VERSION, max_bytes=max_bytes), path)


def to_group(recording: Recording) -> Group:
    """The file's tree of a recording."""
    attributes: dict[str, str | int | float | bool] = {
        "backend": recording.backend,
        "precision": recording.precision,
        "graph_digest": recording.graph_digest,
        "dt": float(recording.dt),
        "n_samples": recording.n_samples,
        "n_steps": recording.n_steps,
    }
    groups = {
        "spikes": Group(groups={name: to_tree(spikes) for name, spikes in recording.spikes.items()}),
        "readouts": Group(arrays=dict(recording.readouts)),
        "states": Group(groups={name: Group(arrays=dict(traces)) for name, traces in recording.states.items()}),
        "saturations": Group(dict(recording.saturations)),
    }
    return Group(attributes, groups=groups)


def from_group(tree: Group, path: str | os.PathLike[str]) -> Recording:
    """The recording of a file's tree.

    Raises:
        FormatError: members are missing, unexpected or of another type; spikes or traces do not fit the recording's shape.
    """
    expect(tree, f"{path}: /", HEADER, groups=("spikes", "readouts", "states", "saturations"))
    parts = tree.groups
    for name in ("spikes", "states"):
        expect(parts[name], f"{path}: /{name}", {}, groups=parts[name].groups)
    for place, traces in (("readouts", parts["readouts"]), *((f"states/{name}", group) for name, group in parts["states"].groups.items())):
        expect(traces, f"{path}: /{place}", {}, arrays=traces.arrays)
    expect(parts["saturations"], f"{path}: /saturations", dict.fromkeys(parts["saturations"].attributes, int))
    recording = Recording(
        **tree.attributes,  # pyright: ignore[reportArgumentType]
        spikes={name: from_tree(group, f"{path}: /spikes/{name}") for name, group in parts["spikes"].groups.items()},
        readouts=dict(parts["readouts"].arrays),
        states={name: dict(group.arrays) for name, group in parts["states"].groups.items()},
        saturations={name: int(count) for name, count in parts["saturations"].attributes.items()},
    )
    _check_shapes(recording, path)
    return recording


def _check_shapes(recording: Recording, path: str | os.PathLike[str]) -> None:
    shape = recording.n_steps, recording.n_samples
    for name, spikes in recording.spikes.items():
        if spikes.shape[:2] != shape or spikes.dt != recording.dt:
            raise FormatError(f"{path}: /spikes/{name}: shape {spikes.shape}, dt {spikes.dt}; wanted {(*shape, 'n')}, dt {recording.dt}.")
    traces = {f"readouts/{name}": trace for name, trace in recording.readouts.items()}
    traces |= {f"states/{name}/{x}": trace for name, states in recording.states.items() for x, trace in states.items()}
    kind = np.dtype(np.int64 if recording.precision == "integer" else np.float64)
    for name, trace in traces.items():
        if trace.shape[:2] != shape or trace.ndim != 3 or trace.dtype != kind:
            raise FormatError(f"{path}: /{name} is {trace.dtype} of shape {trace.shape}; wanted {kind} of {(*shape, 'n')}.")
