"""What a mapped graph asks of its chips: cores that are on, messages and the routers they pass, the work of every core."""

from dataclasses import dataclass

import numpy as np

from neuromorph.shapes import Float64


@dataclass(frozen=True)
class Load:
    """Of the mean inference: `messages` between cores and from outside, `hops_ew` and `hops_ns`: routers that they pass east-west and
    north-south, `between_chips`: borders between chips that they pass. `cores` in use; `compartments` that are updated at every step, in
    the groups that a chip updates at once.
    """

    graph_digest: str
    profile: str
    cores: int
    compartments: int
    messages: float
    hops_ew: float
    hops_ns: float
    between_chips: float


@dataclass(frozen=True, eq=False)
class CoreLoad:
    """What every core does in the mean inference of `n_samples`, in the order of the partition.

    `synops`: synaptic operations; `auxiliary_synops`: those by which an adaptive neuron's spikes feed its further compartments.
    `updates_active`: compartment updates at whose step a synaptic event arrives (or whose neuron has a bias or a synaptic current);
    `updates`: all of them, in the groups that a chip updates at once. `spikes` of its neurons. `messages_out`: to all cores, its own
    included; `messages_in`: from all cores and from outside. A core's `messages_in` are no core's `messages_out` where they come from
    outside.
    """

    graph_digest: str
    profile: str
    n_samples: int
    synops: Float64[np.ndarray, " cores"]
    auxiliary_synops: Float64[np.ndarray, " cores"]
    updates_active: Float64[np.ndarray, " cores"]
    updates: Float64[np.ndarray, " cores"]
    spikes: Float64[np.ndarray, " cores"]
    messages_out: Float64[np.ndarray, " cores"]
    messages_in: Float64[np.ndarray, " cores"]
