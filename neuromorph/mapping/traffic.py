"""Messages between cores, from the spikes of every neuron."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import Input
from neuromorph.mapping.cut import reach
from neuromorph.mapping.partition import Partition
from neuromorph.shapes import Float64


@dataclass(frozen=True, eq=False)
class Traffic:
    """Messages from core to core (`between` [cores, cores], those that stay in a core on the diagonal) and from outside (`entering`
    [cores]): a spike is one message to every core and projection in which its neuron has a synapse.
    """

    between: Float64[np.ndarray, "cores cores"]
    entering: Float64[np.ndarray, " cores"]


def traffic(graph: Graph, partition: Partition, spikes: Mapping[str, np.ndarray] | None = None) -> Traffic:
    """The messages of a partitioned graph. `spikes`: of each neuron [n], by population that emits any; by default one each."""
    n = partition.n_cores
    between, entering = np.zeros((n, n)), np.zeros(n)
    for q in graph.projections:
        fired = np.ones(q.n_source) if spikes is None else np.asarray(spikes[q.source], np.float64)
        sender = None if isinstance(graph.population(q.source), Input) else partition.core_of(q.source)
        for axons in reach(q, partition.bounds[q.target]):
            target = partition.core[q.target][axons.slice]
            if sender is None:
                np.add.at(entering, target, fired[axons.row])
            else:
                np.add.at(between.reshape(-1), sender[axons.row] * n + target, fired[axons.row])
    return Traffic(between, entering)
