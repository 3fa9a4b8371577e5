"""What a network of replicas is given to run."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuromorph.spikes import Spikes


@dataclass(frozen=True, eq=False)
class Batch:
    """Some samples of a run: their numbers, input spikes by population, third factors by name [n_steps, n_samples, 1 or n]."""

    samples: range
    inputs: Mapping[str, Spikes]
    third: Mapping[str, np.ndarray]

    def part(self, samples: range) -> "Batch":
        """The samples of these numbers, of a batch that has all."""
        inputs = {name: spikes.select(np.arange(samples.start, samples.stop)) for name, spikes in self.inputs.items()}
        return Batch(samples, inputs, {name: m[:, samples.start : samples.stop] for name, m in self.third.items()})
