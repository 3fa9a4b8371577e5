"""Spikes: events (sample, step, neuron) of one population, with the shape and step length that give them meaning."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuromorph.errors import FormatError, GraphError
from neuromorph.graph.container import MAX_BYTES, Group, expect, read, write
from neuromorph.graph.populations import Values, read_only
from neuromorph.shapes import Bool, Int32, Int64, Num

if TYPE_CHECKING:
    import neo  # pyright: ignore[reportMissingTypeStubs]
    import nir  # pyright: ignore[reportMissingTypeStubs]
    import pandas  # pyright: ignore[reportMissingTypeStubs]
    import xarray

VERSION = 1
COLUMNS = ("sample", "step", "neuron")


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spike events, sorted by sample, then step, then neuron, each at most once.

    `sample`, `step`, `neuron`: int32 [n_events]. `dt` [s]. Dense form: bool [n_steps, n_samples, n_neurons]
    (time, batch, neurons).

    Raises:
        GraphError: events outside the shape, unsorted or repeated; use `from_events` to sort.
    """

    sample: Int32[np.ndarray, " events"]
    step: Int32[np.ndarray, " events"]
    neuron: Int32[np.ndarray, " events"]
    n_samples: int
    n_steps: int
    n_neurons: int
    dt: float

    def __post_init__(self) -> None:
        for field in ("sample", "step", "neuron"):
            object.__setattr__(self, field, read_only(getattr(self, field)))
        if self.n_samples < 0 or self.n_steps < 0 or self.n_neurons < 1 or not (np.isfinite(self.dt) and self.dt > 0):
            raise GraphError(f"Spikes: shape {self.shape} and dt {self.dt} must be positive.")
        if not self.sample.shape == self.step.shape == self.neuron.shape == (len(self),):
            raise GraphError(
                f"Spikes: {len(self.sample)} samples, {len(self.step)} steps, {len(self.neuron)} neurons; give one each per event."
            )
        for field, limit in (("sample", self.n_samples), ("step", self.n_steps), ("neuron", self.n_neurons)):
            values = getattr(self, field)
            if len(values) and (values.min() < 0 or values.max() >= limit):
                raise GraphError(f"Spikes: {field} reaches {values.min()}..{values.max()}; allowed 0..{limit - 1}.")
        if len(self) > 1 and (np.diff(self.keys()) <= 0).any():
            raise GraphError("Spikes: events must ascend by (sample, step, neuron) without repeats; use Spikes.from_events.")

    @classmethod
    def from_events(
        cls, sample: Values, step: Values, neuron: Values, *, n_samples: int, n_steps: int, n_neurons: int, dt: float
    ) -> "Spikes":
        """Events in any order; sorts them. Repeats are refused."""
        columns = [_indices(x) for x in (sample, step, neuron)]
        order = np.lexsort(columns[::-1])
        sample_, step_, neuron_ = (column[order] for column in columns)
        return cls(sample_, step_, neuron_, n_samples, n_steps, n_neurons, dt)

    @classmethod
    def from_dense(cls, dense: Bool[np.ndarray, "steps samples neurons"] | Num[np.ndarray, "steps samples neurons"], dt: float) -> "Spikes":
        """From an array [n_steps, n_samples, n_neurons] of zeros and ones."""
        if not np.isin(dense, (0, 1)).all():
            raise GraphError("Spikes.from_dense: values other than 0 and 1; spikes are binary.")
        step, sample, neuron = np.nonzero(dense)
        n_steps, n_samples, n_neurons = dense.shape
        return cls.from_events(sample, step, neuron, n_samples=n_samples, n_steps=n_steps, n_neurons=n_neurons, dt=dt)

    def to_dense(self) -> Bool[np.ndarray, "steps samples neurons"]:
        dense = np.zeros(self.shape, dtype=np.bool_)
        dense[self.step, self.sample, self.neuron] = True
        return dense

    def to_pandas(self) -> "pandas.DataFrame":
        """A row a spike: sample, neuron, step, time [s].

        Raises:
            NeuromorphError: pandas is not installed.
        """
        from neuromorph.interchange.pandas import table

        return table(self)

    def to_xarray(self) -> "xarray.DataArray":
        """bool [time, sample, neuron], time in seconds.

        Raises:
            NeuromorphError: xarray is not installed.
        """
        from neuromorph.interchange.xarray import array

        return array(self)

    def to_neo(self, population: str = "spikes") -> "neo.Block":
        """Neo's Block: a Segment a sample, a SpikeTrain a neuron. See `neuromorph.interchange.neo.block`.

        Raises:
            NeuromorphError: neo is not installed.
        """
        from neuromorph.interchange.neo import spike_block

        return spike_block(self, population)

    def to_nir(self) -> "nir.EventData":
        """NIR's event data [n_samples, events]. See `neuromorph.interchange.nir.events`.

        Raises:
            NeuromorphError: nir is not installed.
        """
        from neuromorph.interchange.nir import events

        return events(self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_steps, n_samples, n_neurons)"""
        return self.n_steps, self.n_samples, self.n_neurons

    def __len__(self) -> int:
        return len(self.sample)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spikes):
            return NotImplemented
        return (
            self.shape == other.shape
            and self.dt == other.dt
            and all(np.array_equal(getattr(self, f), getattr(other, f)) for f in ("sample", "step", "neuron"))
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def select(self, samples: Values) -> "Spikes":
        """The given samples, renumbered 0, 1, ... in the order given; each at most once."""
        wanted = np.asarray(samples, dtype=np.int64).reshape(-1)
        if len(np.unique(wanted)) < len(wanted) or ((wanted < 0) | (wanted >= self.n_samples)).any():
            raise GraphError(f"Spikes.select: samples {wanted.tolist()}; give some of 0..{self.n_samples - 1}, each at most once.")
        if len(wanted) and (np.diff(wanted) == 1).all():
            return self._between(int(wanted[0]), int(wanted[-1]) + 1)
        place = np.full(self.n_samples, -1, dtype=np.int64)
        place[wanted] = np.arange(len(wanted))
        keep = place[self.sample] >= 0
        return self.from_events(
            place[self.sample[keep]],
            self.step[keep],
            self.neuron[keep],
            n_samples=len(wanted),
            n_steps=self.n_steps,
            n_neurons=self.n_neurons,
            dt=self.dt,
        )

    def _between(self, first: int, last: int) -> "Spikes":
        """Samples first .. last - 1: part of what is sorted and checked is so too, and need not be checked again."""
        begin, end = np.searchsorted(self.sample, np.array((first, last), np.int32))  # of its type, else all samples are copied
        part = copy.copy(self)
        object.__setattr__(part, "sample", read_only(self.sample[begin:end] - np.int32(first)))
        object.__setattr__(part, "step", self.step[begin:end])
        object.__setattr__(part, "neuron", self.neuron[begin:end])
        object.__setattr__(part, "n_samples", last - first)
        return part

    def counts(self) -> Int64[np.ndarray, "samples neurons"]:
        """Spikes of each neuron in each sample [n_samples, n_neurons]."""
        flat = self.sample.astype(np.int64) * self.n_neurons + self.neuron
        return np.bincount(flat, minlength=self.n_samples * self.n_neurons).reshape(self.n_samples, self.n_neurons)

    def rate(self) -> float:
        """Mean firing rate [Hz] over samples, steps and neurons."""
        cells = self.n_steps * self.n_samples * self.n_neurons
        return len(self) / cells / self.dt if cells else 0.0

    def keys(self) -> Int64[np.ndarray, " events"]:
        """One ascending number an event: (sample * n_steps + step) * n_neurons + neuron."""
        return (self.sample.astype(np.int64) * self.n_steps + self.step) * self.n_neurons + self.neuron


def join_spikes(parts: Sequence[Spikes]) -> Spikes:
    """Spikes of one population on consecutive batches of samples, as one array."""
    offsets = np.cumsum([0, *(part.n_samples for part in parts)])
    return Spikes(
        np.concatenate([part.sample + np.int32(offset) for part, offset in zip(parts, offsets)]),
        np.concatenate([part.step for part in parts]),
        np.concatenate([part.neuron for part in parts]),
        n_samples=int(offsets[-1]),
        n_steps=parts[0].n_steps,
        n_neurons=parts[0].n_neurons,
        dt=parts[0].dt,
    )


def _indices(values: Values) -> Int32[np.ndarray, " events"]:
    column = np.asarray(values).reshape(-1)
    whole = column.astype(np.int32)
    if not np.array_equal(whole, column):
        raise GraphError(f"Spikes: an event has index {column[whole != column][0]}; give 32-bit integers.")
    return whole


def to_tree(spikes: Spikes) -> Group:
    """The file's tree of a spike array (also used inside recordings)."""
    shape = {"n_samples": spikes.n_samples, "n_steps": spikes.n_steps, "n_neurons": spikes.n_neurons, "dt": float(spikes.dt)}
    return Group(dict(shape), {"sample": spikes.sample, "step": spikes.step, "neuron": spikes.neuron})


def from_tree(tree: Group, place: str) -> Spikes:
    """Spikes of a file's group.

    Raises:
        FormatError: members are missing, unexpected or of another type, or the events break a rule of `Spikes`.
    """
    expect(tree, place, {"n_samples": int, "n_steps": int, "n_neurons": int, "dt": float}, COLUMNS)
    for name in COLUMNS:
        array = tree.arrays[name]
        if array.dtype != np.int32 or array.shape != (len(tree.arrays["sample"]),):
            raise FormatError(f"{place}/{name} is {array.dtype} of shape {array.shape}; wanted int32, one an event.")
    try:
        return Spikes(**tree.arrays, **tree.attributes)  # pyright: ignore[reportArgumentType]
    except GraphError as error:
        raise FormatError(f"{place}: {error}") from error


def save_spikes(
    path: str | os.PathLike[str], populations: Mapping[str, Spikes], labels: Int64[np.ndarray, " samples"] | None = None
) -> None:
    """Write spike arrays by population name, and labels of the samples where there are, to one HDF5 file, atomically."""
    arrays = {} if labels is None else {"labels": np.asarray(labels, dtype=np.int64)}
    write(path, "spikes", VERSION, Group({}, arrays, {name: to_tree(spikes) for name, spikes in populations.items()}))


def load_spikes(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> dict[str, Spikes]:
    """Read spike arrays by population name. `max_bytes`: the most they may take in memory.

    Raises:
        FormatError: see `neuromorph.graph.container.read` and `from_tree`.
    """
    return _load(path, max_bytes)[0]


def load_labels(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Int64[np.ndarray, " samples"] | None:
    """The labels kept in a spike file, None where it has none.

    Raises:
        FormatError: see `load_spikes`; or labels that are not one a sample.
    """
    return _load(path, max_bytes)[1]


def _load(path: str | os.PathLike[str], max_bytes: int) -> tuple[dict[str, Spikes], Int64[np.ndarray, " samples"] | None]:
    tree = read(path, "spikes", VERSION, max_bytes=max_bytes)
    expect(tree, f"{path}: /", {}, {"labels"} & set(tree.arrays), tree.groups)
    spikes = {name: from_tree(group, f"{path}: /{name}") for name, group in tree.groups.items()}
    labels = tree.arrays.get("labels")
    samples = {s.n_samples for s in spikes.values()}
    if labels is not None and (labels.dtype != np.int64 or labels.ndim != 1 or samples != {len(labels)}):
        raise FormatError(f"{path}: /labels is {labels.dtype} of shape {labels.shape} for {samples} samples; wanted int64, one a sample.")
    return spikes, labels
