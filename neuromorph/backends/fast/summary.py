"""What is left of a run whose spikes are counted and not kept."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neuromorph.errors import FormatError
from neuromorph.graph.container import MAX_BYTES, Group, expect, read, write
from neuromorph.recording import added_up

VERSION = 1
HEADER: dict[str, type] = {"graph_digest": str, "dt": float, "n_samples": int, "n_steps": int, "window": int}
ARRAYS = {"fired": (np.dtype(np.int32), 2), "active": (np.dtype(np.int64), 1), "readouts": (np.dtype(np.float64), 2)}
"""Type and dimensions of what is kept of each population."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Spikes and activity of every sample, and the readouts added up.

    `fired`: spikes of each neuron of each population, inputs included, int32 [samples, n]. `active`: neuron updates of each population
    that computes, at whose step a synaptic event arrives (see `counts.Counts`), int64 [samples]. `readouts`: mean of each readout over the
    last `window` steps, float64 [samples, n]. `saturations`: as in `Recording`.
    """

    graph_digest: str
    dt: float
    n_samples: int
    n_steps: int
    window: int
    fired: Mapping[str, np.ndarray]
    active: Mapping[str, np.ndarray]
    readouts: Mapping[str, np.ndarray]
    saturations: Mapping[str, int]

    def mean_spikes(self) -> dict[str, np.ndarray]:
        """Spikes of each neuron in the mean sample [n], by population that emits any."""
        return {name: fired.mean(0) for name, fired in self.fired.items()}

    def decisions(self) -> np.ndarray:
        """Class of each sample: argmax of the first readout [samples]."""
        return next(iter(self.readouts.values())).argmax(axis=1)


def join(parts: Sequence[Summary]) -> Summary:
    """Summaries of one graph on consecutive batches of samples, as one."""
    first = parts[0]
    joined = {
        field: {name: np.concatenate([getattr(part, field)[name] for part in parts]) for name in getattr(first, field)} for field in ARRAYS
    }
    n_samples, saturations = sum(part.n_samples for part in parts), added_up([part.saturations for part in parts])
    return Summary(first.graph_digest, first.dt, n_samples, first.n_steps, first.window, **joined, saturations=saturations)


def save_summary(path: str | os.PathLike[str], summary: Summary) -> None:
    """Write a summary to HDF5, atomically."""
    groups = {field: Group(arrays=dict(getattr(summary, field))) for field in ARRAYS}
    groups["saturations"] = Group(dict(summary.saturations))
    write(path, "summary", VERSION, Group({name: kind(getattr(summary, name)) for name, kind in HEADER.items()}, groups=groups))


def load_summary(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Summary:
    """Read a summary. `max_bytes`: the most its arrays may take in memory.

    Raises:
        FormatError: see `neuromorph.graph.container.read`; members are missing, unexpected or of another type or shape.
    """
    tree = read(path, "summary", VERSION, max_bytes=max_bytes)
    expect(tree, f"{path}: /", HEADER, groups=(*ARRAYS, "saturations"))
    saturations = tree.groups["saturations"].attributes
    expect(tree.groups["saturations"], f"{path}: /saturations", dict.fromkeys(saturations, int))
    for field, (kind, dimensions) in ARRAYS.items():
        expect(tree.groups[field], f"{path}: /{field}", {}, arrays=tree.groups[field].arrays)
        for name, array in tree.groups[field].arrays.items():
            if array.dtype != kind or array.ndim != dimensions or len(array) != tree.attributes["n_samples"]:
                wanted = f"{kind} of {(tree.attributes['n_samples'], 'n')[:dimensions]}"
                raise FormatError(f"{path}: /{field}/{name} is {array.dtype} of shape {array.shape}; wanted {wanted}.")
    arrays = {field: dict(tree.groups[field].arrays) for field in ARRAYS}
    return Summary(**tree.attributes, **arrays, saturations={name: int(count) for name, count in saturations.items()})  # pyright: ignore[reportArgumentType]
