"""Labelled spike trains in three parts: what a task gives and training takes."""

from dataclasses import dataclass, field

import numpy as np

from neuromorph.errors import GraphError
from neuromorph.graph.populations import read_only
from neuromorph.shapes import Int64
from neuromorph.spikes import Spikes


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

    def head(self, n: int) -> "LabelledSpikes":
        """The first n samples."""
        chosen = np.arange(min(n, len(self)))
        return LabelledSpikes(self.spikes.select(chosen), self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification task. `about` (JSON values) tells how the spikes were made and is kept with trained models."""

    name: str
    n_classes: int
    train: LabelledSpikes
    validation: LabelledSpikes
    test: LabelledSpikes
    about: dict[str, str | int | float] = field(default_factory=dict[str, str | int | float])

    def __post_init__(self) -> None:
        for part in (self.train, self.validation, self.test):
            if len(part) and not 0 <= part.labels.min() <= part.labels.max() < self.n_classes:
                raise GraphError(
                    f"Dataset '{self.name}': labels reach {part.labels.min()}..{part.labels.max()}; allowed 0..{self.n_classes - 1}."
                )
