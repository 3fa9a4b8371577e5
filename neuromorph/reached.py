"""Which neuron updates are active: those at whose step a synaptic event arrives."""

from collections.abc import Iterator, Mapping

import numpy as np

from neuromorph.graph.graph import Graph
from neuromorph.graph.populations import Neurons
from neuromorph.graph.projections import Projection
from neuromorph.shapes import Bool, Int64
from neuromorph.spikes import Spikes

EVENTS = 2**21  # synaptic events expanded at once
CELLS = 2**24  # neuron-steps held at once


def active_updates(
    graph: Graph, p: Neurons, spikes: Mapping[str, Spikes], first: int, last: int
) -> Bool[np.ndarray, "samples steps neurons"]:
    """Whether each update of a population is active, in samples first .. last - 1: a synaptic event arrives at that step, delays
    respected, or the neuron has a bias or a synaptic current. `spikes`: of every population that emits any, inputs included.
    """
    always = (p.bias != 0) | (p.decay_u != 0)
    reached = np.empty((last - first, next(iter(spikes.values())).n_steps, p.n), np.bool_)
    reached[:] = always
    if not always.all():
        for projection in graph.incoming(p.name):
            _mark(reached, projection, spikes[projection.source], first)
    return reached


def count_active(graph: Graph, p: Neurons, spikes: Mapping[str, Spikes], n_samples: int) -> Int64[np.ndarray, " samples"]:
    """Active updates of a population, by sample. `spikes`: as in `active_updates`."""
    found = np.zeros(n_samples, dtype=np.int64)
    chunk = max(1, CELLS // max(1, next(iter(spikes.values())).n_steps * p.n))
    for first in range(0, n_samples, chunk):
        last = min(first + chunk, n_samples)
        found[first:last] = np.count_nonzero(active_updates(graph, p, spikes, first, last), axis=(1, 2))
    return found


def _mark(reached: Bool[np.ndarray, "samples steps neurons"], p: Projection, spikes: Spikes, first: int) -> None:
    """Set the cells (sample - first, step, neuron) at which spikes of the samples from `first` on arrive."""
    n_samples, n_steps, n = reached.shape
    cells = reached.reshape(-1)
    nonzero = p.used
    indices, delays, fan_out = p.indices[nonzero], p.delays[nonzero], p.fan_out()
    start = np.concatenate([[0], np.cumsum(fan_out)[:-1]])
    begin, end = np.searchsorted(spikes.sample, np.array((first, first + n_samples), np.int32))
    for block in _blocks(fan_out[spikes.neuron[begin:end]]):
        chosen = slice(begin + block.start, begin + block.stop)
        neuron, fan = spikes.neuron[chosen], fan_out[spikes.neuron[chosen]]
        offset = np.repeat(start[neuron] - (np.cumsum(fan) - fan), fan)
        synapse = np.arange(len(offset)) + offset
        step = np.repeat(spikes.step[chosen], fan) + delays[synapse]
        row = np.repeat(spikes.sample[chosen].astype(np.int64) - first, fan) * n_steps + step
        in_time = step < n_steps
        cells[row[in_time] * n + indices[synapse][in_time]] = True


def _blocks(sizes: Int64[np.ndarray, " events"]) -> Iterator[slice]:
    """Consecutive slices of at most EVENTS in sum (or of one element)."""
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        done = int(ends[begin] - sizes[begin])
        end = max(begin + 1, int(np.searchsorted(ends, done + EVENTS, side="right")))
        yield slice(begin, end)
        begin = end
