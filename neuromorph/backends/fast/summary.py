"""What is left of a run whose spikes are counted and not kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neuromorph.recording import added_up


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

    def decisions(self) -> np.ndarray:
        """Class of each sample: argmax of the first readout [samples]."""
        return next(iter(self.readouts.values())).argmax(axis=1)


def join(parts: Sequence[Summary]) -> Summary:
    """Summaries of one graph on consecutive batches of samples, as one."""
    first = parts[0]
    joined = {
        field: {name: np.concatenate([getattr(part, field)[name] for part in parts]) for name in getattr(first, field)}
        for field in ("fired", "active", "readouts")
    }
    n_samples, saturations = sum(part.n_samples for part in parts), added_up([part.saturations for part in parts])
    return Summary(first.graph_digest, first.dt, n_samples, first.n_steps, first.window, **joined, saturations=saturations)
