"""How far Lava's stock learning rule, which is approximate, goes from the exact one: two recordings of one graph and input."""

from dataclasses import dataclass

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.recording import Recording


@dataclass(frozen=True)
class Deviation:
    """Of one plastic projection. `largest`, `mean`: |H - exact H| over all steps, samples and synapses; `size`: mean |exact H|; `clip`: the
    largest H may be; `correlation` of the last H with the exact one, NaN where either is the same everywhere. `spikes`: those of the target
    in the exact run; `differ`: those that only one of the two runs has.
    """

    largest: float
    mean: float
    size: float
    clip: float
    correlation: float
    spikes: int
    differ: int

    def __str__(self) -> str:
        return (
            f"|H - exact| at most {self.largest:.4g}, {self.mean:.4g} on average (mean |H| {self.size:.4g}, clip {self.clip:.4g}); last H "
            f"correlates with {self.correlation:.3f}; {self.differ} spikes differ of {self.spikes}"
        )


def deviations(graph: Graph, exact: Recording, found: Recording) -> dict[str, Deviation]:
    """By plastic projection; both recordings must hold its H and the spikes of its target."""
    return {q.name: _deviation(exact, found, q.name, q.target, float(q.plasticity.clip)) for q in graph.plastic if q.plasticity}


def _deviation(exact: Recording, found: Recording, projection: str, target: str, clip: float) -> Deviation:
    wanted, h = (recording.states[projection]["H"].astype(np.float64) for recording in (exact, found))
    fired, other = (recording.spikes[target].to_dense() for recording in (exact, found))
    last = wanted[-1].ravel(), h[-1].ravel()
    varied = all(np.ptp(x) > 0 for x in last)
    return Deviation(
        largest=float(np.abs(h - wanted).max(initial=0)),
        mean=float(np.abs(h - wanted).mean()),
        size=float(np.abs(wanted).mean()),
        clip=clip,
        correlation=float(np.corrcoef(*last)[0, 1]) if varied else float("nan"),
        spikes=int(fired.sum()),
        differ=int(np.count_nonzero(fired != other)),
    )
