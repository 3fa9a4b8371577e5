"""Labelled spike trains, or trains of numbers, in three parts: what a task gives and training takes."""

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph.populations import Values, read_only
from neuromorph.shapes import Bool, Float32, Int64
from neuromorph.spikes import Spikes

DenseInput: TypeAlias = Bool[np.ndarray, "steps batch neurons"] | Float32[np.ndarray, "steps batch neurons"]
"""Spikes, or numbers (analog input), which networks can be trained on but which simulators and chips do not take."""

ANALOG = {"input": "analog"}
"""The entry by which tasks of checkpoints and metadata of graphs tell that the network was trained on such numbers."""


@runtime_checkable
class Samples(Protocol):
    """Labelled samples of one part of a data set, which may be encoded only when asked for."""

    @property
    def labels(self) -> Int64[np.ndarray, " samples"]: ...

    @property
    def n_steps(self) -> int: ...

    @property
    def n_neurons(self) -> int: ...

    @property
    def dt(self) -> float: ...

    @property
    def spikes(self) -> Spikes:
        """The events of all samples; take `head` of a large part first.

        Raises:
            GraphError: the input is analog.
        """
        ...

    def __len__(self) -> int: ...

    def dense(self, chosen: Values) -> DenseInput:
        """Input of the chosen samples [n_steps, len(chosen), n_neurons], in that order; repeats are allowed."""
        ...

    def head(self, n: int) -> "Samples":
        """The first n samples."""
        ...


@dataclass(frozen=True, eq=False)
class LabelledSpikes:
    """One label 0 .. n_classes - 1 for each sample of `spikes`; `labels` has shape [n_samples].

    Raises:
        GraphError: as many labels as samples are needed.
    """

    spikes: Spikes
    labels: Int64[np.ndarray, " samples"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(self.labels))
        if len(self.labels) != self.spikes.n_samples:
            raise GraphError(f"LabelledSpikes: {len(self.labels)} labels for {self.spikes.n_samples} samples; give one each.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_steps(self) -> int:
        return self.spikes.n_steps

    @property
    def n_neurons(self) -> int:
        return self.spikes.n_neurons

    @property
    def dt(self) -> float:
        return self.spikes.dt

    def dense(self, chosen: Values) -> Bool[np.ndarray, "steps batch neurons"]:
        """See `Samples.dense`."""
        samples = np.asarray(chosen, dtype=np.int64).reshape(-1)
        s = self.spikes
        bounds = np.searchsorted(s.sample, [samples, samples + 1])
        sizes = bounds[1] - bounds[0]
        starts = bounds[0] - np.cumsum(sizes) + sizes
        events: Int64[np.ndarray, " events"] = np.repeat(starts, sizes) + np.arange(int(sizes.sum()))
        found = np.zeros((s.n_steps, len(samples), s.n_neurons), dtype=np.bool_)
        found[s.step[events], np.repeat(np.arange(len(samples)), sizes), s.neuron[events]] = True
        return found

    def head(self, n: int) -> "LabelledSpikes":
        """The first n samples."""
        chosen = np.arange(min(n, len(self)))
        return LabelledSpikes(self.spikes.select(chosen), self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification task. `about` (JSON values) tells how the input was made and is kept with trained models."""

    name: str
    n_classes: int
    train: Samples
    validation: Samples
    test: Samples
    about: dict[str, str | int | float] = field(default_factory=dict[str, str | int | float])

    def __post_init__(self) -> None:
        for part in (self.train, self.validation, self.test):
            if len(part) and not 0 <= part.labels.min() <= part.labels.max() < self.n_classes:
                raise GraphError(
                    f"Dataset '{self.name}': labels reach {part.labels.min()}..{part.labels.max()}; allowed 0..{self.n_classes - 1}."
                )

    @property
    def analog(self) -> bool:
        """Whether the input is numbers instead of spikes, see `DenseInput`."""
        return self.train.dense([]).dtype != np.bool_
