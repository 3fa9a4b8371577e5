"""What a run of a graph left behind: spikes, readout traces, state traces, saturations."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neuromorph.errors import FormatError
from neuromorph.graph.container import Group, read, write
from neuromorph.spikes import Spikes, from_tree, join_spikes, to_tree

VERSION = 1


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
    saturations: dict[str, int] = {}
    for part in parts:
        for name, count in part.saturations.items():
            saturations[name] = saturations.get(name, 0) + count
    return replace(
        first,
        n_samples=sum(part.n_samples for part in parts),
        spikes={name: join_spikes([part.spikes[name] for part in parts]) for name in first.spikes},
        readouts={name: np.concatenate([part.readouts[name] for part in parts], axis=1) for name in first.readouts},
        states={
            name: {x: np.concatenate([part.states[name][x] for part in parts], axis=1) for x in traces}
            for name, traces in first.states.items()
        },
        saturations=saturations,
    )


def save_recording(path: str | os.PathLike[str], recording: Recording) -> None:
    """Write a recording to HDF5, atomically."""
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
    write(path, "recording", VERSION, Group(attributes, groups=groups))


def load_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a recording.

    Raises:
        FormatError: see `neuromorph.graph.container.read`; or traces that do not fit the recording's shape.
    """
    tree = read(path, "recording", VERSION)
    try:
        a, groups = tree.attributes, tree.groups
        recording = Recording(
            backend=str(a["backend"]),
            precision=str(a["precision"]),
            graph_digest=str(a["graph_digest"]),
            dt=float(a["dt"]),
            n_samples=int(a["n_samples"]),
            n_steps=int(a["n_steps"]),
            spikes={name: from_tree(group, f"{path}: spikes of {name}") for name, group in groups["spikes"].groups.items()},
            readouts=dict(groups["readouts"].arrays),
            states={name: dict(group.arrays) for name, group in groups["states"].groups.items()},
            saturations={name: int(count) for name, count in groups["saturations"].attributes.items()},
        )
    except KeyError as error:
        raise FormatError(f"{path}: a recording needs {error}, which is missing.") from error
    traces = {**recording.readouts, **{f"{n}.{k}": t for n, s in recording.states.items() for k, t in s.items()}}
    for name, trace in traces.items():
        if trace.shape[:2] != (recording.n_steps, recording.n_samples):
            raise FormatError(f"{path}: trace {name} has shape {trace.shape}; wanted ({recording.n_steps}, {recording.n_samples}, n).")
    return recording
