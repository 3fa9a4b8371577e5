"""Synaptic operations of every core at every step, from recorded spikes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.graph.projections import Projection
from neuromorph.mapping.cut import reach
from neuromorph.mapping.partition import Partition
from neuromorph.shapes import Int64
from neuromorph.spikes import Spikes

CELLS = 2**23
"""Numbers of samples, steps and cores that are held at a time."""


def core_synops(graph: Graph, partition: Partition, spikes: Mapping[str, Spikes]) -> Iterator[Int64[np.ndarray, "samples steps cores"]]:
    """Synaptic operations by the step at which the spike is sent, for some samples at a time, in order.

    `spikes`: of every population that emits any, inputs included.
    """
    from scipy.sparse import csr_array

    first = next(iter(spikes.values()))
    tables = [(q.source, _synapses_by_core(q, partition)) for q in graph.projections]
    at_once = max(1, CELLS // max(1, first.n_steps * partition.n_cores))
    for begin in range(0, first.n_samples, at_once):
        end = min(begin + at_once, first.n_samples)
        total = np.zeros(((end - begin) * first.n_steps, partition.n_cores), np.int64)
        for source, table in tables:
            s = spikes[source]
            a, b = np.searchsorted(s.sample, np.array((begin, end), np.int32))
            row = (s.sample[a:b].astype(np.int64) - begin) * s.n_steps + s.step[a:b]
            fired: Any = csr_array((np.ones(b - a, np.int64), (row, s.neuron[a:b])), shape=(len(total), s.n_neurons))
            total += (fired @ table).toarray()
        yield total.reshape(end - begin, first.n_steps, partition.n_cores)


def _synapses_by_core(q: Projection, partition: Partition) -> Any:
    """Synapses of each source neuron on each core, sparse [n_source, cores]."""
    from scipy.sparse import coo_array

    axons = list(reach(q, partition.bounds[q.target]))
    row, slices, synapses = (np.concatenate([each[k] for each in axons]) for k in range(3))
    return coo_array((synapses, (row, partition.core[q.target][slices])), shape=(q.n_source, partition.n_cores)).tocsr()
